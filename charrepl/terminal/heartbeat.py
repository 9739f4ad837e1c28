"""A sign of life from a program that computes: says what it is doing when it has shown nothing for a while.

It has its own thread, because the computation may be one long call.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.text import Text

from charrepl.terminal.progress import Display, duration

_BEAT_S = 0.5
_SILENT_S = 1.5  # on a terminal; most work ends sooner


@contextlib.contextmanager
def heartbeat(
    display: Display, *, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[str], None]]:
    """Shows what is being done while the block runs. Call the yielded function to say what that is."""
    doing, since = "", now()
    ended = threading.Event()

    def begins(what: str) -> None:
        nonlocal doing, since
        doing, since = what, now()

    def beat() -> None:
        while not ended.wait(_BEAT_S):
            if doing and display.silent_s >= _SILENT_S:
                words = f"{doing}, {duration(now() - since)} so far"
                line = Text(words)
                line.truncate(display.room[0])
                display.fill(line)
                display.now_and_then(lambda: words)  # noqa: B023  (called here and now)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield begins
    finally:
        ended.set()
        thread.join()
