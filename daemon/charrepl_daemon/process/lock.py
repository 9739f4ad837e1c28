"""The daemon's lock file, held through a descriptor, because another file may take over its path."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import NamedTuple

_AGAIN_S = 0.02


class Identity(NamedTuple):
    """Identifies a file, whatever its name. No other file has the same while this one exists or is open."""

    device: int
    inode: int


def identity(found: os.stat_result) -> Identity:
    """The identity of a file, from its status."""
    return Identity(found.st_dev, found.st_ino)


def identity_at(path: Path) -> Identity | None:
    """The identity of what is at a path, without following a symlink. None if nothing is visible there."""
    try:
        return identity(path.lstat())
    except OSError:
        return None


class Lock:
    """A lock that ends with its process, however that ends. The file is never removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float, *, create: bool = True) -> bool:
        """Whether the lock was acquired in that time. Raises OSError if the file cannot be opened."""
        deadline = time.monotonic() + timeout_s
        while not self._try(os.O_CREAT if create else 0):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_AGAIN_S)  # its holder is another process: there is no event to wait for
        return True

    def _try(self, create: int) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | create, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if identity(os.fstat(descriptor)) == identity_at(self._path):  # else it was removed meanwhile
                self.release()
                self._descriptor, descriptor = descriptor, -1
                return True
        except BlockingIOError:
            pass
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return False

    def in_place(self) -> bool:
        """Whether the lock is held, and its file is still at the path."""
        held = self._descriptor
        return held is not None and identity(os.fstat(held)) == identity_at(self._path)

    def release(self) -> None:
        """Releases the lock. You may call it more than once."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
