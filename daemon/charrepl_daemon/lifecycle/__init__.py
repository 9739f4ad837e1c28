"""Starting, running, replacing and stopping a daemon, by hand or as a systemd service.

`cli` calls it. The folders that it imports do not know how the daemon was started.
"""
