"""A training run from its beginning or its last checkpoint to its end: the loop, the schedule, what stops it.

`command` starts it and `display` tells of it. Nothing here draws.
"""
