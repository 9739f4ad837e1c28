"""What is being written after a text, piece by piece, for one writer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from charrepl.ghost import repetition
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.session_texts import Tokens
from charrepl_daemon.model.programs import NEVER


class Generation:
    """A ghost or a passage being written: what it continues, how, and how far it has come."""

    def __init__(
        self,
        *,
        session: tuple[Hashable, int],
        tokens: Tokens,
        position: int,
        max_chars: int,
        decoding: Decoding,
        ends: NDArray[np.bool_],
        least: float = NEVER,
        rank: int = -1,
        own: bool = False,
        unread: int = 0,
        kept: bool = True,
        typed: int | None = None,
        ahead: bool = False,
        before: str | None = None,
    ) -> None:
        self.session = session  # the writer, and where the window starts
        self.tokens = tokens  # of the window: the implicit newline, the text, what was written
        self._room = tokens  # what they lie in, and what is added to them
        self.typed = len(tokens) if typed is None else typed  # of them, by the writer
        self.position = position  # in the whole text, of the next character
        self.left = max_chars
        self.decoding = decoding
        self.ends = ends
        self.least = least
        self.rank = rank
        self.own = own  # whether its carry has a slot of its own, and is not cached by text
        self.unread = unread  # characters of the text still to be read, as far as is known
        self.kept = kept  # whether its carries are of use when it is done
        self.ahead = ahead  # whether nobody has asked for it yet
        self.before = before  # the window's text, for a ghost, which ends before it goes in circles
        self._parts: list[str] = []  # of `text`: to add to a string would copy all of it each time
        self._news: list[str] = []
        self._told = 0  # characters of `text` that are sure not to begin a repetition
        self.log_probs: list[float] = []
        self.joint = 0.0
        self.seen = False
        self.done = False

    def add(self, tokens: Tokens, text: str, log_probs: Sequence[float]) -> None:
        """Adds characters that were chosen, and how likely each was, in nats."""
        begin, end = len(self.tokens), len(self.tokens) + len(tokens)
        if end > len(self._room):  # at the first: the tokens may be others' too
            self._room = np.concatenate((self.tokens, np.zeros(end, np.int32)))
        self._room[begin:end] = tokens
        self.tokens = self._room[:end]
        self._parts.append(text)
        self._news.append(text)
        self.log_probs += log_probs
        self.position += len(tokens)
        self.left -= len(tokens)

    def go_straight(self) -> None:
        """Ends a ghost where it begins to repeat itself; call it after each piece that was added."""
        if self.before is None:
            return
        length, self._told, ended = repetition.straight(self.before, self.text)
        self.done |= ended
        beyond = len(self.text) - length
        if self.done and beyond:
            self.tokens = self.tokens[: len(self.tokens) - beyond]
            del self.log_probs[length:]
            self._parts = [self.text[:length]]
            self.position -= beyond

    @property
    def ready(self) -> int:
        """How many characters of `text` can be shown by now."""
        return len(self.text) if self.done or self.before is None else self._told

    def recall(
        self, tokens: Tokens, text: str, log_probs: Sequence[float], visible: NDArray[np.bool_]
    ) -> None:
        """Adds characters of which it is known that they would be chosen, as far as the ghost goes.

        It ends where the program ends it, and its numbers are the program's to the bit.
        """
        joint = np.add.accumulate(np.array([self.joint, *log_probs], np.float32))[1:]
        seen = self.seen | np.logical_or.accumulate(visible[tokens])
        end = _first(seen & self.ends[tokens]) + 1
        count = min(len(tokens), self.left, end, _first(joint < np.float32(self.least)))
        self.done = count < len(tokens) or count in (self.left, end)
        self.add(tokens[:count], text[:count], log_probs[:count])
        if count:
            self.joint, self.seen = float(joint[count - 1]), bool(seen[count - 1])
        self.go_straight()

    @property
    def text(self) -> str:
        """All that was written."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def news(self) -> str:
        """What was written of a passage since this was last asked for."""
        news, self._news = "".join(self._news), []
        return news

    @property
    def begun(self) -> bool:
        """Whether anything was written yet."""
        return bool(self.log_probs)


def _first(flags: NDArray[np.bool_]) -> int:
    """Where the first is that is set; behind the last one if none is."""
    return int(flags.argmax()) if flags.any() else len(flags)
