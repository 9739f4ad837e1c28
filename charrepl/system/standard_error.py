"""Standard error for programs that work on: writing to it never fails and never waits.

Its reader may leave (`2>&1 | head`), stop reading (Ctrl-S, a pager), or be a terminal that has gone or a
disk that is full. Whatever is being computed is worth more than what is said about it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import deque
from typing import TextIO

from charrepl.system import nonblocking_files

_MOST_WAITING = 1 << 20  # bytes: what is said while more than that waits is dropped


class StandardError:
    """Hands text to a thread that writes it, in order. What cannot be written is dropped.

    `stream` is where to, as a rule sys.stderr; None, for a closed one, is nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self._errors: str = getattr(stream, "errors", None) or "strict"
        self._waiting: deque[bytes] = deque()
        self._bytes = 0  # not written yet
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.descriptor: int | None = None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # in memory, or closed
                self.descriptor = stream.fileno()
            with contextlib.suppress(OSError, ValueError):
                stream.flush()  # what was printed before goes before

    @property
    def behind(self) -> bool:
        """Whether something is still to be written."""
        return self._bytes > 0

    def write(self, text: str) -> int:
        """Takes text, to be written soon."""
        if self.descriptor is None:
            if self._stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._stream.write(text)
            return len(text)
        data = text.encode(self.encoding, self._errors)
        with self._changed:
            if data and self._bytes < _MOST_WAITING:
                self._waiting.append(data)
                self._bytes += len(data)
                self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="standard error", daemon=True)
            self._thread.start()
        return len(text)

    def flush(self) -> None:
        """Nothing: what was taken is on its way."""

    def drain(self, timeout_s: float | None = None) -> None:
        """Returns once all is written, or could not be, or after that time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, timeout_s)

    def _write_all(self) -> None:
        # A terminal set to stop what writes to it from the background (`stty tostop`) would stop it all.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = self._waiting.popleft()
            with contextlib.suppress(OSError):  # nobody can read it: the next may have better luck
                nonblocking_files.write_all(self.descriptor or 0, data)
            with self._changed:
                self._bytes -= len(data)
                self._changed.notify_all()
