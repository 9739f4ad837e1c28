"""Terminals: keys and pastes as they arrive, widths, colours, and as little output as a frame needs.

The prompt and the progress of long commands use it. It knows nothing of drafts, ghosts or the daemon.
"""
