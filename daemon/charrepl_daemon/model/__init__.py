"""The model's programs on the device: decoding, beam search, scoring and adapting, and keeping them compiled.

`engine` calls them. Nothing here knows of sessions, requests or sockets.
"""
