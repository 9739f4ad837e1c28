"""Editing the line: a buffer that moves by grapheme clusters, key sequences, and the history.

The prompt uses it. Nothing here knows about ghosts or the daemon.
"""
