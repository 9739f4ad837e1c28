"""Files that survive a power failure."""

from __future__ import annotations

import errno
import os

# The answers of a file system that does not know a call.
NO_SUCH_CALL = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def to_disk(file: int) -> None:
    """Returns when an open file is on its disk. Raises OSError if it cannot be written there."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:  # a file system without this call is not a failure
            raise
