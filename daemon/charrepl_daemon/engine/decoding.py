"""A ghost or passage for one writer, as it is being written piece by piece."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from charrepl.ghost import repetition
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.session_texts import Tokens
from charrepl_daemon.model.programs import NEVER


class Generation:
    """A ghost or passage being written: what it continues, how it is decoded, and what is written so far."""

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
        self._room = tokens  # the array that holds them, with room for more
        self.typed = len(tokens) if typed is None else typed  # how many of them the writer typed
        self.position = position  # the next character's position in the whole text
        self.left = max_chars
        self.decoding = decoding
        self.ends = ends
        self.least = least
        self.rank = rank
        self.own = own  # whether its carry has its own slot, and is not cached by text
        self.unread = unread  # characters of the text still to be read, as far as is known
        self.kept = kept  # whether its carries are useful when it is done
        self.ahead = ahead  # whether nobody has asked for it yet
        self.before = before  # the window's text, for a ghost, which must not repeat itself
        self._parts: list[str] = []  # of `text`; adding to one string would copy it each time
        self._news: list[str] = []
        self._told = 0  # characters of `text` that certainly do not begin a repetition
        self.log_probs: list[float] = []
        self.joint = 0.0
        self.seen = False
        self.done = False

    def add(self, tokens: Tokens, text: str, log_probs: Sequence[float]) -> None:
        """Adds chosen characters, and the log-probability of each in nats."""
        begin, end = len(self.tokens), len(self.tokens) + len(tokens)
        if end > len(self._room):  # always true at first, because others may share the tokens
            self._room = np.concatenate((self.tokens, np.zeros(end, np.int32)))
        self._room[begin:end] = tokens
        self.tokens = self._room[:end]
        self._parts.append(text)
        self._news.append(text)
        self.log_probs += log_probs
        self.position += len(tokens)
        self.left -= len(tokens)

    def go_straight(self) -> None:
        """Ends a ghost where it begins to repeat itself. Call it after each piece that was added."""
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
        """How many characters of `text` can be shown now."""
        return len(self.text) if self.done or self.before is None else self._told

    def recall(
        self, tokens: Tokens, text: str, log_probs: Sequence[float], visible: NDArray[np.bool_]
    ) -> None:
        """Adds characters that are known to be chosen, up to the ghost's end.

        It ends where the compiled program would end it, and its numbers are exactly the program's.
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
        """Everything that was written."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def news(self) -> str:
        """What was written of a passage since the last call."""
        news, self._news = "".join(self._news), []
        return news

    @property
    def begun(self) -> bool:
        """Whether anything was written yet."""
        return bool(self.log_probs)


def _first(flags: NDArray[np.bool_]) -> int:
    """The index of the first value that is set; the length if none is."""
    return int(flags.argmax()) if flags.any() else len(flags)
