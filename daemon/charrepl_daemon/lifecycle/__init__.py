"""Starting, being, replacing and stopping a daemon, by hand or as a systemd service.

`cli` calls it. Nothing below it knows how the daemon was started.
"""
