"""A training run from its beginning or its last checkpoint to its end: the loop, the schedule, what stops it.

`cli` starts it and `display` reads it; the daemon shares `checkpoint`. Nothing here draws.
"""
