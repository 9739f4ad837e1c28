"""Ghosts as the auto-suggestions of an application that is made with prompt_toolkit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion

from charrepl.autosuggest.background_suggester import BackgroundSuggester
from charrepl.errors import CharreplError
from charrepl.ghost.display_policy import ASSERTIVENESS
from charrepl.settings import model_names, settings
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl.suggestions.off_switch import OffSwitch, here
from charrepl.suggestions.request import SuggestionRequest, Suggestions
from charrepl.suggestions.taken_ghosts import TakenGhosts

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document

_KEY_WAITS_S = 0.05  # where the application asks in the thread that reads keys
_WITHIN_S = 1.0  # by then, somebody has typed on
# The first entry that goes along stays the same for so many entries, so that the text only grows meanwhile,
# and the daemon need not read it anew.
_BLOCK = 32


class GhostSuggest(AutoSuggest):
    """Ghosts at the end of what is typed. Without a daemon there are none, and one is started.

    model, assertiveness: without them, as in the settings; host: as in `charrepl off --host`; earlier: the
    entries before this one, the oldest first, which are read too; without it, those that the application's
    history knows. Raises CharreplError if any of it, or a setting, is wrong. The methods raise nothing.
    """

    def __init__(
        self,
        *,
        model: str = "",
        assertiveness: str = "",
        host: str = "python",
        earlier: Callable[[], Sequence[str]] | None = None,
        endpoint: str | None = None,
    ) -> None:
        if assertiveness and assertiveness not in ASSERTIVENESS:
            raise CharreplError(f"assertiveness={assertiveness!r}: give one of {', '.join(ASSERTIVENESS)}")
        given = {"model": model, "assertiveness": assertiveness}
        self._settings = settings.effective(given).settings
        self._model = model_names.absolute(self._settings.model)
        if self._model and not endpoint:
            model_names.find(self._model)
        self._host = host
        self._earlier = earlier
        counts = KeysSaved()
        self._taken = TakenGhosts(counts)
        self._suggester = BackgroundSuggester(endpoint=endpoint, name=host, counts=counts)
        self._off_switch = OffSwitch()
        self._asked: Future[Suggestions] | None = None
        self._last = "", ""  # a text and its ghost
        self._refused = ""  # why the last request was no good

    @property
    def why_off(self) -> str:
        """Why ghosts are switched off, and how to switch them on, in one line; empty if they are on."""
        return self._off_switch.why_off(self._host, here())

    @property
    def condition(self) -> str:
        """Why there are no ghosts, or the daemon's device, in one line."""
        return self.why_off or self._refused or self._suggester.condition

    def close(self) -> None:
        """Ends the connection and writes the counts, as the end of the program does."""
        self._suggester.close()

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """The ghost, if it comes within 50 ms. After a late one, no key waits until there is an answer."""
        with contextlib.suppress(Exception):
            before, shown = self._look(buffer, document)
            if shown is not None:
                return _suggestion(shown)
            if self._asked is None or self._asked.done():
                # A daemon that is away is asked too: that is what starts it.
                self._asked = self._ask(before)
                if self._suggester.ready:
                    return self._answered(before, self._asked.result(_KEY_WAITS_S))
        return None

    async def get_suggestion_async(self, buff: Buffer, document: Document) -> Suggestion | None:
        """The ghost, if it comes within a second."""
        with contextlib.suppress(Exception):
            before, shown = self._look(buff, document)
            if shown is not None:
                return _suggestion(shown)
            return self._answered(before, await asyncio.wrap_future(self._ask(before)))
        return None

    def _look(self, buffer: Buffer, document: Document) -> tuple[str, str | None]:
        """The whole text before the cursor, and its ghost: empty for none; None if it has to be asked for."""
        typed = document.text
        if not document.is_cursor_at_the_end or not typed.strip() or typed[0].isspace():
            return "", ""
        entries = self._earlier() if self._earlier else buffer.history.get_strings()
        first = max(0, len(entries) // _BLOCK - 1) * _BLOCK
        before = "\n".join([*entries[first:], typed])
        self._taken.text(self._host, before)
        asked, ghost = self._last
        rest = (asked + ghost).removeprefix(before)
        if rest and before.startswith(asked) and len(rest) < len(asked + ghost):
            self._taken.shown(self._host, before, rest)
            return before, rest  # what was typed of it is not asked about
        return before, None

    def _ask(self, before: str) -> Future[Suggestions]:
        request = SuggestionRequest(
            document="prompt",
            before=before,
            host=self._host,
            path=here(),
            model=self._model,
            assertiveness=self._settings.assertiveness,
            temperature=self._settings.temperature,
            adapt=self._settings.adapt,
        )
        asked = self._suggester.ask(request, timeout_s=_WITHIN_S)
        asked.add_done_callback(self._hear)
        return asked

    def _hear(self, asked: Future[Suggestions]) -> None:
        error = None if asked.cancelled() else asked.exception()
        self._refused = str(error) if isinstance(error, CharreplError) else ""

    def _answered(self, before: str, found: Suggestions) -> Suggestion | None:
        if not found.texts:
            return None
        ghost = found.texts[0]
        self._last = before, ghost
        self._taken.shown(self._host, before, ghost)
        return Suggestion(ghost)


def _suggestion(ghost: str) -> Suggestion | None:
    return Suggestion(ghost) if ghost else None
