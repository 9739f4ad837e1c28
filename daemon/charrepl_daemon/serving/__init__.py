"""Requests from arrival to reply: the server's event loop, the scheduler's thread, and the jobs between them.

`lifecycle` starts it. It is the only folder that sees both sockets and engine.
"""
