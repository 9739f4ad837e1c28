"""A writing session without a terminal: the draft, its ghost, the requests behind it, the journal.

The prompt uses it. It imports the client and the ghost, and never draws.
"""
