"""The ghosts that a client was given, and what became of them. Only counts of them are kept."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from charrepl.lsp.documents import Document
from charrepl.suggestions.keys_saved import KeysSaved

_KEPT = 32  # the newest: of these, a client may still tell that one was taken


@dataclass(slots=True)
class _Offer:
    uri: str
    row: int
    text: str  # from the beginning of that line
    typed: int  # characters of it that are there already
    taken: bool = False


class Offers:
    """Counts ghosts shown and taken, for one host."""

    def __init__(self, counts: KeysSaved) -> None:
        self.host = "lsp"
        self._counts = counts
        self._offers: dict[int, _Offer] = {}  # by number, the newest last
        self._numbers = itertools.count(1)

    def made(self, uri: str, row: int, typed: str, ghosts: Sequence[str]) -> list[int]:
        """The numbers of ghosts that are shown behind what is typed of a line."""
        last = next((offer for offer in reversed(self._offers.values()) if offer.uri == uri), None)
        if ghosts and not (last and last.row == row and _is_same(last.text, typed, ghosts[0])):
            self._counts.note(self.host, shown=1)
        numbers = []
        for ghost in ghosts:
            numbers.append(next(self._numbers))
            self._offers[numbers[-1]] = _Offer(uri, row, typed + ghost, len(typed))
        for number in list(self._offers)[:-_KEPT]:
            del self._offers[number]
        return numbers

    def follow(self, uri: str, document: Document) -> None:
        """Finds out how much of its ghosts was typed, in a document that has changed."""
        for offer in self._offers.values():
            if offer.uri == uri:
                end = min(document.rows, offer.row + offer.text.count("\n") + 1)
                there = "\n".join(map(document.line, range(offer.row, end)))
                same = len(os.path.commonprefix([there, offer.text]))  # noqa: RUF071  (of any texts)
                if same < len(offer.text):  # else it was taken, and the client is about to tell that
                    offer.typed = same

    def taken(self, number: int, characters: int | None = None) -> None:
        """Counts what was taken of a ghost with one key: all of it, or so many characters."""
        offer = self._offers.get(number)
        if offer is not None:
            rest = len(offer.text) - offer.typed
            count = rest if characters is None else max(0, min(characters, len(offer.text)))
            self._counts.note(self.host, taken=not offer.taken, characters=count, keys=1)
            offer.taken = True

    def forget(self, uri: str) -> None:
        """Drops the ghosts of a document that was closed."""
        self._offers = {number: offer for number, offer in self._offers.items() if offer.uri != uri}


def _is_same(before: str, typed: str, ghost: str) -> bool:
    """Whether it is the ghost before, of which some was typed, and perhaps more is known."""
    now = typed + ghost
    return len(typed) < len(before) and (before.startswith(now) or now.startswith(before))
