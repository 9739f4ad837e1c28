"""Files that survive a power failure."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# The answers of a file system that does not know a call.
NO_SUCH_CALL = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def to_disk(file: int) -> None:
    """Returns when an open file is on its disk. Raises OSError if it cannot be written there."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:  # a file system without this call is not a failure
            raise


def path_to_disk(path: Path) -> None:
    """Returns when a file, or the names in a directory, are on their disk. Raises OSError as `to_disk`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        to_disk(descriptor)
    finally:
        os.close(descriptor)
