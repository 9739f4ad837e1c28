"""Standard error for programs that must go on working: writing to it never fails and never waits.

Its reader may leave (`2>&1 | head`) or stop reading (Ctrl-S, a pager). The terminal may be gone, or the disk
full. The computation is worth more than messages about it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import deque
from typing import TextIO

from charrepl.system import nonblocking_files

_MOST_WAITING = 1 << 20  # bytes; while more than this waits, new text is dropped


class StandardError:
    """Passes text to a thread that writes it in order. What cannot be written is dropped.

    `stream` is usually sys.stderr. If it is None, because standard error is closed, nothing is written.
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
                stream.flush()  # so that text printed earlier comes first

    @property
    def behind(self) -> bool:
        """Whether something is still to be written."""
        return self._bytes > 0

    def write(self, text: str) -> int:
        """Accepts text, which is written soon."""
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
        """Does nothing: accepted text is being written already."""

    def drain(self, timeout_s: float | None = None) -> None:
        """Returns when everything is written or cannot be written, or after that time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, timeout_s)

    def _write_all(self) -> None:
        # A terminal may stop background programs that write to it (`stty tostop`). That would stop all of us.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = self._waiting.popleft()
            with contextlib.suppress(OSError):  # nobody can read this text, but perhaps the next
                nonblocking_files.write_all(self.descriptor or 0, data)
            with self._changed:
                self._bytes -= len(data)
                self._changed.notify_all()
