"""Whether ghosts are off at the prompt, looked up while somebody types; no key waits for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

HOST = "prompt"  # as in `charrepl off --host`
_AGAIN_S = 1.0  # between two looks


class OffWatch:
    """Tells `found` why ghosts are off, or with an empty text that they are on, after each look."""

    def __init__(self, found: Callable[[str], None]) -> None:
        self._found = found
        self._looking = False  # or about to
        self._next = 0.0

    def look(self) -> None:
        """Looks soon: now, or a second after the last look. It needs an event loop."""
        if not self._looking:
            self._looking = True
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, self._next - time.monotonic()), self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not a thread of the loop's: one that waits for a disk would keep the prompt from ending.
        threading.Thread(target=self._look, args=(loop,), name="off switch", daemon=True).start()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        from charrepl.suggestions import off_switch  # only after the prompt is drawn

        why = off_switch.OffSwitch().why_off(HOST, off_switch.here())
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._looked, why)

    def _looked(self, why: str) -> None:
        self._looking = False
        self._next = time.monotonic() + _AGAIN_S
        self._found(why)
