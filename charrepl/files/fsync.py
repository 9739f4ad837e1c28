"""Files that outlive a power failure."""

from __future__ import annotations

import errno
import os

# What a file system answers that does not know a call.
NO_SUCH_CALL = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def to_disk(file: int) -> None:
    """Returns once an open file is on its disk. Raises OSError if it cannot be written there."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:  # of file systems that cannot, it is nothing that failed
            raise
