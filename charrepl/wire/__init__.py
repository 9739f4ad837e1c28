"""What client and daemon say to one another: the messages, and which part of a text they are about.

Both sides import it. There are no sockets here: `charrepl.client` and `charrepl_daemon.sockets` have those.
"""
