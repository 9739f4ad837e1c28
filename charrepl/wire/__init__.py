"""The protocol between client and daemon: the messages, and which part of a text they are about.

Both sides import it. It has no sockets: those are in `charrepl.client` and `charrepl_daemon.sockets`.
"""
