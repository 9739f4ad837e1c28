"""Suggestions over a stream of bytes, for shells and scripts: text in, ghost out, each ended by NUL.

Used by the daemon's line socket and by `charrepl pipe`, which is here as well. docs/line-protocol.md is for
those who write a client. Nothing here opens a socket.
"""
