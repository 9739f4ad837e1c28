"""The user's choices: config.toml, environment and options, the keys, and which model a name means.

Any folder may import it. Nothing here draws or asks the daemon.
"""
