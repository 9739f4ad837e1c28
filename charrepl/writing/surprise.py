"""Surprise: how unexpected each character of the draft was to the model, in bits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from charrepl.errors import CharreplError
from charrepl.text import graphemes
from charrepl.wire.context_window import window_start
from charrepl.writing.daemon_link import DaemonLink
from charrepl.writing.draft import Draft

# The daemon reads one piece without interruption. A ghost may have to wait for that, about 30 ms.
PIECE_CHARS = 64
# If more than this is unread, as after a long paste, we read only the last window.
MOST_BEHIND = 4096
# Places from which reading can continue after an undo.
KEPT_PLACES = 64


class _Place(NamedTuple):
    """A place that reading has reached, and what the daemon needs to continue from there."""

    length: int  # of the text read up to here
    carry: bytes
    digest: str


class Surprise:
    """Reads a draft after the writer has written it, from the first window on."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link
        self._reading = asyncio.Lock()
        self.forget()

    def forget(self) -> None:
        """Starts again, for example because the model changes."""
        self._draft: Draft | None = None
        self._start = 0
        self._text = ""
        self._bits: list[float] = []
        self._places = [_Place(0, b"", "")]

    def bits(self, draft: Draft) -> list[float]:
        """Bits for each character of the draft since reading began. Empty if reading is not up to date."""
        return self._bits if draft is self._draft and self._text == draft.text[self._start :] else []

    def mean_of_pieces(self, draft: Draft) -> float | None:
        """Bits per character of what was added and read since the draft was opened."""
        if draft is not self._draft:
            return None
        start = max(0, len(draft.opened) - self._start)
        added = graphemes.letters(self._text[start:])
        return math.fsum(self._bits[start:]) / added if added else None

    async def read(self, draft: Draft) -> None:
        """Reads to the end of the draft. Raises CharreplError if the daemon answers with an error."""
        async with self._reading:
            await self._read(draft)

    async def _read(self, draft: Draft) -> None:
        behind = len(draft.text) - self._start - len(self._text)
        if draft is not self._draft or len(draft.text) < self._start or behind > MOST_BEHIND:
            self.forget()
            self._draft = draft
            self._start = window_start(len(draft.text))
        text = draft.text[self._start :]
        while not text.startswith(self._text):  # something was taken back
            self._places.pop()
            self._cut(self._places[-1].length)
        while len(self._text) < len(text):
            place = self._places[-1]
            piece = text[place.length : graphemes.cut(text, place.length, PIECE_CHARS)]
            try:
                scores = await self._link.score(piece, place.carry, place.digest)
            except CharreplError as error:
                self.forget()  # the model may have changed
                if error.code == "model_changed":
                    return
                raise
            if self._places[-1] is not place:
                return  # the model has changed
            self._text += piece
            self._bits += [-nats / math.log(2) for nats in scores.log_probs]
            self._places.append(_Place(len(self._text), scores.carry, scores.digest))
            if len(self._places) > KEPT_PLACES:
                del self._places[1]

    def _cut(self, length: int) -> None:
        self._text = self._text[:length]
        del self._bits[length:]


# The bits at which each level above the first begins.
LEVELS = (1.0, 2.5, 4.0, 6.0)


def level(bits: float) -> int:
    """How surprising a character is, from 0 (expected) to `len(LEVELS)`."""
    return sum(bits >= least for least in LEVELS)


def runs(text: str, bits: Sequence[float]) -> list[tuple[int, str]]:
    """A text cut where the level changes: (level, characters). A cluster's level is that of its bits' sum."""
    found: list[tuple[int, str]] = []
    at = 0
    for cluster in graphemes.iterate(text):
        surprise = level(math.fsum(bits[at : at + len(cluster)]))
        at += len(cluster)
        if found and found[-1][0] == surprise:
            found[-1] = (surprise, found[-1][1] + cluster)
        else:
            found.append((surprise, cluster))
    return found
