"""The signals that end a training: each has it saved first, whoever sends it."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Self

from charrepl.ignored_signals import heeded

# All that would end the process, and come from outside: a key, a connection that drops, a scheduler's
# limits or warnings, a machine that runs out of power.
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGPWR")
_TOGETHER_S = 1.0  # one Ctrl-C may come twice: from the terminal, and from a program in between


class Interruption:
    """Turns signals into a wish to stop; another Ctrl-C, a second later, raises KeyboardInterrupt.

    Further signals of other kinds change nothing: shells and schedulers send several in a row.
    """

    def __init__(self) -> None:
        self._since: float | None = None

    def __call__(self) -> bool:
        """Whether there is the wish."""
        return self._since is not None

    def __enter__(self) -> Self:
        numbers = [signal.Signals[name] for name in _ENDING if name in signal.Signals.__members__]
        self._before = {number: signal.signal(number, self._stop) for number in heeded(numbers)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Nothing is said from here: that may meet a message that is being printed.
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif number == signal.SIGINT and now - self._since > _TOGETHER_S:
            raise KeyboardInterrupt
