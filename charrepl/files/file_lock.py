"""Locks on open files, which end with the process that has them."""

from __future__ import annotations

import fcntl


def try_lock(file: int) -> bool:
    """Locks an open file, unless somebody else has locked it. Whether it is ours now.

    On file systems without locks, always true.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
