"""A session's texts as arrays: its current path, and the branches that it left.

Arrays are compared fast, so that a key costs nearly the same in a long text.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charrepl_daemon.model.carry_store import ZERO_SLOT

Tokens: TypeAlias = NDArray[np.int32]


def common(a: Tokens, b: Tokens) -> int:
    """How many tokens at their beginning two texts have in common."""
    count = min(len(a), len(b))
    if not count:
        return 0
    differ = a[:count] != b[:count]
    first = int(differ.argmax())
    return first if differ[first] else count


class Run:
    """The tokens after the first `at` of a text, and for each the slot of the carry after it.

    The slot is ZERO_SLOT if the carry is not kept.
    """

    __slots__ = ("at", "slots", "tokens")

    def __init__(self, at: int, tokens: Tokens, slots: NDArray[np.int32]) -> None:
        self.at = at
        self.tokens = tokens
        self.slots = slots

    def kept(self, begin: int, end: int) -> list[int]:
        """The kept slots of the tokens from the text's `begin` to its `end`."""
        slots = self.slots[begin - self.at : end - self.at]
        kept: list[int] = slots[slots != ZERO_SLOT].tolist()
        return kept

    def deepest(self, count: int) -> int:
        """How many of its first `count` tokens there are up to the last one with a carry."""
        kept = np.flatnonzero(self.slots[:count])
        return int(kept[-1]) + 1 if len(kept) else 0


class Branch(Run):
    """A text that a session left, from where it differs from the session's path."""

    __slots__ = ("session",)

    def __init__(self, session: Session, at: int, end: int) -> None:
        super().__init__(at, session.tokens[at:end].copy(), session.slots[at:end].copy())
        self.session = session

    def hang_at(self, at: int) -> None:
        """Makes it begin earlier, at `at`. The tokens in between are still on the path."""
        between = self.session.tokens[at : self.at]
        self.tokens = np.concatenate((between, self.tokens))
        self.slots = np.concatenate((np.zeros_like(between), self.slots))
        self.at = at

    def advance(self, count: int) -> None:
        """Makes it begin `count` tokens later, because these are on the path too."""
        self.at, self.tokens, self.slots = self.at + count, self.tokens[count:], self.slots[count:]


class Session(Run):
    """One writer's texts: the path, which is empty at first and grows in place, and the branches it left.

    A branch holds no slots for tokens that are on the path too, so that each carry is in one place. A session
    without branches has no cycle of references. A session without slots has no branches.
    """

    __slots__ = ("_room_slots", "_room_tokens", "branches", "held", "key", "thinned", "typed")

    def __init__(self, key: Hashable) -> None:
        self._room_tokens = np.zeros(0, np.int32)
        self._room_slots = np.zeros(0, np.int32)
        super().__init__(0, self._room_tokens, self._room_slots)
        self.key = key
        self.held = 0  # its slots and those of its branches; a session without slots is dropped
        self.typed = 0  # tokens of the path that are the writer's; a ghost follows
        self.thinned = 0  # tokens of the path among which only sparse carries are kept
        self.branches: list[Branch] = []  # the one that was left last is at the end

    def unread(self, tokens: Tokens) -> int:
        """How many of `tokens` come after the last one with a carry."""
        same = common(self.tokens, tokens)
        # Every other branch differs from `tokens` before its first slot.
        here = [branch for branch in self.branches if branch.at == same]
        further = max((branch.deepest(common(branch.tokens, tokens[same:])) for branch in here), default=0)
        return len(tokens) - (same + further if further else self.deepest(same))

    def cut(self, length: int) -> None:
        """Cuts the path off after `length` tokens. It must have no slots after that."""
        for branch in self.branches:
            if branch.at > length:
                branch.hang_at(length)
        self._end_at(min(length, len(self.tokens)))
        self.typed = min(self.typed, length)
        self.thinned = min(self.thinned, length)

    def grow(self, tokens: Tokens) -> None:
        """Adds tokens at the path's end, without carries."""
        begin, end = len(self.tokens), len(self.tokens) + len(tokens)
        if end > len(self._room_tokens):
            room = np.zeros(max(64, 2 * end) - begin, np.int32)
            self._room_tokens = np.concatenate((self.tokens, room))
            self._room_slots = np.concatenate((self.slots, room))
        self._end_at(end)
        self.tokens[begin:] = tokens
        self.slots[begin:] = ZERO_SLOT

    def _end_at(self, length: int) -> None:
        self.tokens, self.slots = self._room_tokens[:length], self._room_slots[:length]


def session_of(run: Run) -> Session:
    """The session of a path or branch."""
    if isinstance(run, Branch):
        return run.session
    assert isinstance(run, Session)
    return run
