"""Whether ghosts are off at the prompt, looked up while somebody types; no key waits for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

HOST = "prompt"  # as in `charrepl off --host`
_AGAIN_S = 1.0  # between two looks


class OffWatch:
    """Tells `found` why ghosts are off, or with an empty text that they are on, after each look."""

    def __init__(self, found: Callable[[str], None]) -> None:
        self._found = found
        self._looking = False
        self._next = 0.0

    def look(self) -> None:
        """Begins a look, if the last one has ended and was a second ago. It needs an event loop."""
        if self._looking or time.monotonic() < self._next:
            return
        self._looking = True
        loop = asyncio.get_running_loop()
        # Not a thread of the loop's: one that waits for a disk would keep the prompt from ending.
        threading.Thread(target=self._look, args=(loop,), name="off switch", daemon=True).start()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        from charrepl.suggestions.off_switch import OffSwitch  # only after the prompt is drawn

        why = ""
        with contextlib.suppress(OSError):  # the working directory is gone
            why = OffSwitch().why_off(HOST, Path.cwd())
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._looked, why)

    def _looked(self, why: str) -> None:
        self._looking = False
        self._next = time.monotonic() + _AGAIN_S
        self._found(why)
