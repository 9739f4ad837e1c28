"""The sockets that clients come through, owner and network guests: who they are, and what leaves for them.

`serving` reads and answers through them. Nothing here knows what a request asks for.
"""
