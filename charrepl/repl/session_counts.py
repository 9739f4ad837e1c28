"""The ghosts of a session, in the counts of all programs. No text is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from charrepl.ghost.acceptance_counts import Tally
from charrepl.repl.off_watch import HOST

if TYPE_CHECKING:
    from charrepl.suggestions.keys_saved import KeysSaved


class SessionCounts:
    """Adds what a tally has more than before to the counts. `keep` writes them while a session lasts."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._told = (0, 0, 0, 0)

    async def keep(self) -> None:
        """Writes now and then, until cancelled, and then once more."""
        from charrepl.suggestions import keys_saved  # only after the prompt is drawn

        counts = keys_saved.KeysSaved()
        async with counts.kept_written(lambda: self._note(counts)):
            await asyncio.Event().wait()

    def _note(self, counts: KeysSaved) -> None:
        tally = self._tally
        now = (tally.shown, tally.taken, tally.accepted, tally.keys)
        shown, taken, characters, keys = (new - old for new, old in zip(now, self._told, strict=True))
        if now != self._told:
            self._told = now
            counts.note(HOST, shown=shown, taken=taken, characters=characters, keys=keys)
