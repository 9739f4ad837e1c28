"""How soon a daemon is started again that could not be, or that ended by itself.

Where memory is short, each start makes it shorter for everybody else: so the starts of all programs of a
user count together, in a file.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Between one start and the next, by how many there were in a row.
_GAPS_S = (0.0, 1.0, 5.0, 25.0, 60.0)


class Backoff:
    """The starts in vain; `clock` tells seconds. One that is a minute old counts no longer.

    `file` says where they are kept: their number is its size, and the last one when it was written.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, *, file: Callable[[], Path | None] = lambda: None
    ) -> None:
        self._clock = clock
        self._file = file
        self._starts = 0
        self._last = 0.0

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Takes note of a start, well or not; programs that start one daemon at once count as one."""
        began = self._clock()
        try:
            yield
        finally:
            if not self._count or self._last < began:
                self.started()

    def started(self) -> None:
        """Takes note that a daemon was started, well or not."""
        self._starts, self._last = self._count + 1, self._clock()
        path = self._file()
        with contextlib.suppress(OSError):  # a full disk: then this program counts by itself
            if path is not None:
                path.write_bytes(b"." * self._starts)
                os.utime(path, (self._last, self._last))

    def reset(self) -> None:
        """Takes note that the daemon does its work."""
        if self._starts:
            self._starts = 0
            path = self._file()
            with contextlib.suppress(OSError):
                if path is not None:
                    path.unlink()

    @property
    def wait_s(self) -> float:
        """How long until another may be started."""
        count = self._count
        return max(0.0, self._last + _GAPS_S[count] - self._clock()) if count else 0.0

    @property
    def spent(self) -> bool:
        """Whether there were so many that the next should wait until somebody wants it."""
        return self._count == len(_GAPS_S) - 1

    @property
    def _count(self) -> int:
        path = self._file()
        with contextlib.suppress(OSError):
            if path is not None:
                status = path.stat()
                if status.st_mtime > self._last:
                    self._starts, self._last = status.st_size, status.st_mtime
        # Nor one that is yet to come: the clock was set back.
        if not 0 <= self._clock() - self._last < _GAPS_S[-1]:
            return 0
        return min(self._starts, len(_GAPS_S) - 1)
