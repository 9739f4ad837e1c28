"""How soon a daemon is started again that could not be, or that ended by itself. Pure.

Where memory is short, each start makes it shorter for everybody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Between one start and the next, by how many there were in a row.
_GAPS_S = (0.0, 1.0, 5.0, 25.0, 60.0)


class Backoff:
    """The starts in vain; `clock` tells seconds. One that is a minute old counts no longer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._starts = 0
        self._last = 0.0

    def started(self) -> None:
        """Takes note that a daemon was started, well or not."""
        self._starts, self._last = self._count + 1, self._clock()

    def reset(self) -> None:
        """Takes note that the daemon does its work."""
        self._starts = 0

    @property
    def wait_s(self) -> float:
        """How long until another may be started."""
        return max(0.0, self._last + _GAPS_S[self._count] - self._clock()) if self._starts else 0.0

    @property
    def spent(self) -> bool:
        """Whether there were so many that the next should wait until somebody wants it."""
        return self._count == len(_GAPS_S) - 1

    @property
    def _count(self) -> int:
        if self._clock() - self._last >= _GAPS_S[-1]:
            return 0
        return min(self._starts, len(_GAPS_S) - 1)
