"""The prompt itself: the full-screen application, the lines of `--plain`, and what both share.

Only `charrepl.cli` imports from here. It connects all the folders below it, and computes nothing itself.
"""
