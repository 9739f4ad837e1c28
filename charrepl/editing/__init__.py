"""The line being edited: a buffer that moves by grapheme clusters, key sequences, and the history.

The prompt uses it. Nothing here knows of ghosts or the daemon.
"""
