"""Counts what was shown and taken of ghosts in shells, which send no more than texts."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from charrepl.line_protocol.conversation import Suggest
from charrepl.suggestions.hosts import HOSTS
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl.suggestions.request import SuggestionRequest, Suggestions
from charrepl.suggestions.taken_ghosts import TakenGhosts


class CountedSuggestions:
    """Suggestions, as `suggest` has them, for hosts that are counted."""

    def __init__(self, suggest: Suggest) -> None:
        self._suggest = suggest
        self._counts = KeysSaved()
        self._taken = TakenGhosts(self._counts)

    async def __call__(self, request: SuggestionRequest, *, timeout_s: float) -> Suggestions:
        """As `Suggest`."""
        if request.host not in HOSTS:
            return await self._suggest(request, timeout_s=timeout_s)
        if not request.on_demand:
            self._taken.text(request.host, request.before, saved=request.saved)
        found = await self._suggest(request, timeout_s=timeout_s)
        if found.texts and request.on_demand:  # the key that asks takes it
            ghost = found.texts[0]
            self._counts.note(request.host, shown=1, taken=1, characters=len(ghost), keys=1)
        elif found.texts:
            self._taken.shown(request.host, request.before, found.texts[0], saved=request.saved)
        return found

    def kept(self) -> AbstractAsyncContextManager[None]:
        """Writes the counts now and then while the block runs, and in the end."""
        return self._counts.kept_written()
