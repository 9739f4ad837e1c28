"""The command line of `charrepl-daemon`.

Nothing imports from here. The other folders do the commands' work.
"""
