"""How soon a daemon is started again after a failed start or an unexpected end.

If memory is short, each start makes it worse for everyone. So the starts of all your programs count
together, in a file.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# The time between two starts, by how many there were in a row.
_GAPS_S = (0.0, 1.0, 5.0, 25.0, 60.0)


class Backoff:
    """Counts failed starts. `clock` gives seconds. After a minute they count no longer.

    They are kept in `file()`: its size is their number, and its time is that of the last start.
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
        """Counts a start, whether it succeeds or not. Programs that start one daemon together count once."""
        began = self._clock()
        try:
            yield
        finally:
            if not self._count or self._last < began:
                self.started()

    def started(self) -> None:
        """Counts a start that has ended, whether it succeeded or not."""
        self._starts, self._last = self._count + 1, self._clock()
        path = self._file()
        with contextlib.suppress(OSError):  # on a full disk, this program counts only its own starts
            if path is not None:
                path.write_bytes(b"." * self._starts)
                os.utime(path, (self._last, self._last))

    def reset(self) -> None:
        """Forgets failed starts, because the daemon works."""
        if self._starts:
            self._starts = 0
            path = self._file()
            with contextlib.suppress(OSError):
                if path is not None:
                    path.unlink()

    @property
    def wait_s(self) -> float:
        """How long until the next start is allowed."""
        count = self._count
        return max(0.0, self._last + _GAPS_S[count] - self._clock()) if count else 0.0

    @property
    def spent(self) -> bool:
        """Whether there were so many starts that the next should wait until somebody needs a daemon."""
        return self._count == len(_GAPS_S) - 1

    @property
    def _count(self) -> int:
        path = self._file()
        with contextlib.suppress(OSError):
            if path is not None:
                status = path.stat()
                if status.st_mtime > self._last:
                    self._starts, self._last = status.st_size, status.st_mtime
        # A start in the future does not count either: the clock was set back.
        if not 0 <= self._clock() - self._last < _GAPS_S[-1]:
            return 0
        return min(self._starts, len(_GAPS_S) - 1)
