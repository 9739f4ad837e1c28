"""Disk reads that may never end, for example if the network is down. Nobody waits for them for long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from charrepl.errors import CharreplError
from charrepl_daemon.process.supervision import soon

T = TypeVar("T")

_MOST_S = 15.0  # the longest wait for a read
_MOST = 8  # unfinished reads left behind at a time; each needs a thread


class _Read(NamedTuple, Generic[T]):
    """A read in progress."""

    future: Future[T]
    at: float  # when it began


class HungReads:
    """Reads that were left behind unfinished, by path. Any thread may ask."""

    def __init__(self) -> None:
        self._left: dict[Path, _Read[Any]] = {}
        self._lock = threading.Lock()

    def read(self, path: Path, read: Callable[[Path], T], *, most_s: float | None = None) -> T:
        """The result of a function that reads a path. Raises what the function raises.

        Raises CharreplError if it takes too long. The read then goes on in its thread, and its result is
        dropped. Until it has ended, further reads of the path raise immediately.
        """
        begun = self._begun(path, read)
        wait([begun.future], most_s or _MOST_S)
        return self._result(path, begun)

    async def awaited(self, path: Path, read: Callable[[Path], T]) -> T:
        """As `read`, but does not block the event loop."""
        begun = self._begun(path, read)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        begun.future.add_done_callback(lambda _: soon(loop, ended.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOST_S):
                await ended.wait()
        return self._result(path, begun)

    def _begun(self, path: Path, read: Callable[[Path], T]) -> _Read[T]:
        with self._lock:
            self._left = {other: left for other, left in self._left.items() if not left.future.done()}
            if path in self._left or len(self._left) >= _MOST:
                held_up_by = path if path in self._left else next(iter(self._left))
                raise _hung(held_up_by, self._left[held_up_by])
        future: Future[T] = Future()

        def run() -> None:
            try:
                result = read(path)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        # A daemon thread, so that the process can end without it.
        threading.Thread(target=run, name="read", daemon=True).start()
        return _Read(future, time.monotonic())

    def _result(self, path: Path, begun: _Read[T]) -> T:
        if begun.future.done():
            return begun.future.result()
        with self._lock:
            self._left[path] = begun
        raise _hung(path, begun)


def _hung(path: Path, begun: _Read[T]) -> CharreplError:
    seconds = time.monotonic() - begun.at
    return CharreplError(
        f"{path.name} cannot be read: reading {path} has taken {seconds:.0f} s so far: "
        "check its disk or its network",
        code="busy",
    )
