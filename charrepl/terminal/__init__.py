"""Terminals: incoming keys and pastes, widths, colours, and no more output than a frame needs.

The prompt and the progress of long commands use it. It knows nothing about drafts, ghosts or the daemon.
"""
