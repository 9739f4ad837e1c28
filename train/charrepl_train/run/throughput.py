"""How fast training steps are, how many of them a call should take, and how often that is told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from charrepl_train.text.batching import MOST_STEPS

_CALL_S = 0.4  # how long a call may take: nobody waits longer for a Ctrl-C, or for a sign of life
_TOLD_S = 0.5  # apart

News = TypeVar("News")


class Throughput:
    """The pace of steps from `step` on.

    What is measured changes neither what a step does nor when something is reported.
    """

    def __init__(self, step: int) -> None:
        self._calls = 0
        self._first = self._last = (step, 0.0)
        self.step_s = _CALL_S  # of the last call
        self.mean_s = _CALL_S  # of all but the first
        self.timed_s = 0.0  # how long those took

    def steps(self) -> int:
        """For the next call."""
        if self._calls < 2:
            return 1  # the first one compiles, the second one is timed
        return max(1, min(MOST_STEPS, int(_CALL_S / self.step_s)))

    def took(self, step: int, now: float) -> None:
        """Records a call that ended now, before the step `step`."""
        self._calls += 1
        if self._calls > 1:
            (before, began), self._last = self._last, (step, now)
            self.step_s = (now - began) / (step - before)
            self.timed_s = now - self._first[1]
            self.mean_s = self.timed_s / (step - self._first[0])
        else:
            self._first = self._last = (step, now)

    def resumes(self, now: float) -> None:
        """Leaves out the time since the last call."""
        pause = now - self._last[1]
        self._first = (self._first[0], self._first[1] + pause)
        self._last = (self._last[0], now)


def rarely(tell: Callable[[News], None]) -> Callable[[News], None]:
    """`tell`, but twice a second at most, so that it takes no time from the steps."""
    last = -math.inf

    def sometimes(news: News) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _TOLD_S:
            tell(news)
            last = now

    return sometimes
