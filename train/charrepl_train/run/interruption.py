"""The signals that end a training. The training is saved first, whoever sends the signal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Self

from charrepl.system.ignored_signals import heeded

# All that would end the process, and come from outside: a key, a connection that drops, a scheduler's
# limits or warnings, a machine that runs out of power.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGPWR")
ENDING = [signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__]
_TOGETHER_S = 1.0  # one Ctrl-C may come twice: from the terminal, and from a program in between
_PATIENCE_S = 1.0  # how long a signal may have no visible effect
NOT_SAVED = "Not saved: --resume goes on from what was saved before."


class EndedError(KeyboardInterrupt):
    """A signal came before there was anything to save; `code` is what the process ends with."""

    def __init__(self, number: int) -> None:
        super().__init__("Nothing was saved: the training had not begun.")
        self.code = 128 + number


class Interruption:
    """Turns signals into a request to stop.

    Another Ctrl-C, a second later, raises KeyboardInterrupt. Further signals of other kinds change nothing:
    shells and schedulers send several in a row.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], None] | None = None  # says something at once, from any thread
        self._number = 0
        self._since: float | None = None
        self._at_once = False
        self._heeded = self._raised = False
        self._noticed_at: float | None = None

    def __call__(self) -> bool:
        """Whether a signal has asked to stop."""
        self._heeded = self._since is not None
        return self._heeded

    def check(self) -> None:
        """Raises EndedError if a signal has asked to stop. Call it while there is nothing to save."""
        if self():
            self._raised = True
            raise EndedError(self._number)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Makes a signal raise EndedError anywhere in the `with` block. Some libraries would crash then."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._stop) for number in heeded(ENDING)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heeded = self._raised = True
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Nothing is said from here: that may meet a message that is being printed.
        now = time.monotonic()
        if self._since is None:
            self._since, self._number = now, number
            if self._at_once:
                self.check()
        elif number == signal.SIGINT and not self._raised and now - self._since > _TOGETHER_S:
            self._heeded = self._raised = True
            raise KeyboardInterrupt

    def noticed(self, number: int) -> None:
        """Call this when a signal comes, from another thread.

        Python handles none before the call that it is in has ended, and compiling may take minutes.
        """
        if number not in self._before:
            return
        now = time.monotonic()
        if self._noticed_at is None:
            self._noticed_at = now
            self._later(self._explain)
        elif number == signal.SIGINT and now - self._noticed_at > _TOGETHER_S:
            self._later(self._leave)

    def _later(self, act: Callable[[], None]) -> None:
        timer = threading.Timer(_PATIENCE_S, act)
        timer.daemon = True
        timer.start()

    def _explain(self) -> None:
        if not self._heeded and self.tell is not None:
            self.tell("Stopping once what is being computed is done. Another Ctrl-C stops without saving.")

    def _leave(self) -> None:
        if not self._raised:
            if self.tell is not None:
                self.tell(NOT_SAVED)
            os._exit(130)
