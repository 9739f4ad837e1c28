"""A clock that stands still while the process is stopped, as by Ctrl-Z."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from charrepl.system.ignored_signals import heeded

_BEAT_S = 0.1
_GAP_S = 0.5  # between two looks at the clock, from which the process may have been stopped


class RunningTime:
    """Seconds by `time.monotonic`, but for those during which the process was stopped.

    A stop cannot be seen, only that nothing happened until the process was continued. So the clock is looked
    at all the time, and how long nothing happened before a SIGCONT is left out. For the main thread to enter.

    `signalled` is called, in another thread, with the number of each other signal that has a handler: at
    once, whatever keeps the main thread from handling it.
    """

    def __init__(self, signalled: Callable[[int], None] = lambda number: None) -> None:
        self._signalled = signalled
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._gap_s, self._gap_ended = 0.0, self._last
        self._stopped_s = 0.0
        self._done = threading.Event()

    def __enter__(self) -> Self:
        # Python's handlers wait until a computation is done; what it writes here for each signal does not.
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)
        self._fd_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._before = None
        if heeded([signal.SIGCONT]):
            self._before = signal.signal(signal.SIGCONT, lambda number, frame: None)
        self._thread = threading.Thread(target=self._look_on, name="running time", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._before is not None:
            signal.signal(signal.SIGCONT, self._before)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._reading)
        os.close(self._writing)

    def __call__(self) -> float:
        """Now."""
        with self._lock:
            now = time.monotonic()
            if now - self._last > _GAP_S:
                self._gap_s, self._gap_ended = now - self._last, now
            self._last = now
            # One thread may see the gap a moment before the signal has come in another.
            if self._continued() and now - self._gap_ended < _GAP_S:
                self._stopped_s += self._gap_s
                self._gap_s = 0.0
            return now - self._stopped_s

    def _continued(self) -> bool:
        numbers = b""
        with contextlib.suppress(BlockingIOError):
            numbers = os.read(self._reading, 4096)
        for number in numbers:
            if number != signal.SIGCONT:
                self._signalled(number)
        return signal.SIGCONT in numbers

    def _look_on(self) -> None:
        while not self._done.wait(_BEAT_S):
            self()
