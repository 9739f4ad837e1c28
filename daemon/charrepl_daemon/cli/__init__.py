"""The command line of `charrepl-daemon`: what is started, shown, trusted and stopped.

Nothing imports from here. What a command does lives in the other folders.
"""
