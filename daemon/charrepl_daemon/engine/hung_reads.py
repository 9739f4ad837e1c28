"""Reads of the disk that may never end, as on a network's that has gone: nobody waits for them for long."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from charrepl.errors import CharreplError

T = TypeVar("T")

_MOST_S = 15.0  # that is waited for one
_MOST = 8  # left behind at a time: each keeps a thread


class HungReads:
    """Those that were left behind, by what they read."""

    def __init__(self) -> None:
        self._left: dict[Path, threading.Thread] = {}

    def read(self, path: Path, read: Callable[[Path], T]) -> T:
        """What a function makes of a path. Raises what it raises.

        Raises CharreplError if it takes too long, and at once while it has not ended; it goes on, on its
        own thread, and what comes of it is let go of.
        """
        self._left = {other: thread for other, thread in self._left.items() if thread.is_alive()}
        if path in self._left or len(self._left) >= _MOST:
            raise _hung(path if path in self._left else next(iter(self._left)))
        results: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()

        def run() -> None:
            try:
                results.put(read(path))
            except BaseException as error:
                results.put(error)

        # Of those that the end of the process does not wait for.
        thread = threading.Thread(target=run, name="read", daemon=True)
        thread.start()
        try:
            result = results.get(timeout=_MOST_S)
        except queue.Empty:
            self._left[path] = thread
            raise _hung(path) from None
        if isinstance(result, BaseException):
            raise result
        return result


def _hung(path: Path) -> CharreplError:
    return CharreplError(
        f"{path.name} does not come: {path} has been read for more than {_MOST_S:.0f} s without an end: "
        "look whether its disk, or the network that it is on, is there",
        code="busy",
    )
