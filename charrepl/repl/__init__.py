"""The prompt itself: the full-screen application, the lines of `--plain`, and what both have in common.

Only `charrepl.cli` imports from here. It puts together all the folders below it, and computes nothing.
"""
