"""The command line of `charrepl`, and what the command lines of all three programs have in common.

`options` and `exit_codes` may be imported by the other programs' command lines; the rest by nobody.
"""
