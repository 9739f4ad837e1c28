"""What the user has chosen: config.toml, environment and options, the keys, and which model a name means.

Any room may read it. Nothing here draws or asks the daemon.
"""
