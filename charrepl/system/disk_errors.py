"""What to do about a file that cannot be written, by the system's error."""

from __future__ import annotations

import errno
import os

from charrepl.errors import reason

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "remove some of your files (your disk quota is used up)",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "get permission to write there",
    errno.EPERM: "get permission to write there",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EIO: "check whether the disk is failing",
    errno.ESTALE: "mount the disk again",
    errno.ENOENT: "put its directory back",
}


def advice(error: BaseException, more: str) -> str:
    """What to do, and `more`, which begins with `or` or `and`. If no remedy is known, only `more`."""
    remedy = _REMEDIES.get(_number(error) or 0)
    return f"{remedy} {more}" if remedy else more.partition(" ")[2]


def cause(error: BaseException) -> str:
    """The system's message, even if a library quotes it in a long message of its own."""
    number = _number(error)
    return os.strerror(number) if number else reason(error)[:160]


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    return next((known for known in _REMEDIES if os.strerror(known) in str(error)), None)
