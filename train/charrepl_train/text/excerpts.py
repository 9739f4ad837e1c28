"""Pieces of a text that are measured, each with what stands before it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrepl_train.text.batching import Ids
from charrepl_train.text.split import Range

CONTEXT = 1024  # characters before those that are read: what the model's window guarantees too


class Streams(NamedTuple):
    """Pieces cut into streams that are read side by side. Every target has weight 1 once, padding 0."""

    before: NDArray[np.int32]  # [streams, warm]: what stands before the inputs
    warmed: NDArray[np.bool_]  # [streams]: whether so much stands there; else a stream starts from zero
    inputs: NDArray[np.int32]  # [streams, time]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]


class Excerpts:
    """Some ranges of a text, sorted and apart, and up to 1,025 characters before each.

    `ids`: those of the ranges that `with_context` gives, one after the other.
    """

    def __init__(self, ids: Ids, pieces: Sequence[Range]) -> None:
        self._ids = ids
        self._pieces: list[tuple[int, int, int]] = []  # where in ids its context, it and what follows begin
        at = previous = 0
        for (start, stop), (context, _) in zip(pieces, with_context(pieces), strict=True):
            begin = at if context > previous or not self._pieces else self._pieces[-1][0]
            at += start - context
            self._pieces.append((begin, at, at + stop - start))
            at += stop - start
            previous = stop

    @classmethod
    def whole(cls, ids: Ids) -> Excerpts:
        """All of a text, before which there is nothing."""
        return cls(ids, [(0, len(ids))] if len(ids) else [])

    def __len__(self) -> int:
        """The characters of all pieces, without what stands before them."""
        return sum(stop - start for _, start, stop in self._pieces)

    def pieces(self) -> list[Ids]:
        """The ids of each piece."""
        return [self._ids[start:stop] for _, start, stop in self._pieces]

    def streams(self, most: int, *, warm: int) -> Streams:
        """The pieces as streams of at most so many targets: all characters but the first of the text."""
        starts, stops, warmed = [], [], []
        for begin, start, stop in self._pieces:
            first = max(start, begin + 1)
            count = -(-(stop - first) // most)
            places = [first + (stop - first) * n // max(count, 1) for n in range(count + 1)]
            starts += places[:-1]
            stops += places[1:]
            warmed += [place - 1 - warm >= begin for place in places[:-1]]
        begins, ends = np.array(starts, np.int64), np.array(stops, np.int64)
        time = int((ends - begins).max(initial=0))
        targets = begins[:, None] + np.arange(time)
        weights = (targets < ends[:, None]).astype(np.float32)
        targets = np.minimum(targets, ends[:, None] - 1)
        before = np.maximum(begins[:, None] - 1 + np.arange(-warm, 0), 0)
        read = (self._ids[places].astype(np.int32) for places in (before, targets - 1, targets))
        before, inputs, targets = read
        return Streams(before, np.array(warmed, np.bool_), inputs, targets, weights)

    def windows(self, predictions: int) -> NDArray[np.int32]:
        """As many whole windows as there are in the pieces: [windows, predictions + 1]."""
        starts = [
            place
            for _, start, stop in self._pieces
            for place in range(start, stop - predictions, predictions)
        ]
        return self._ids[np.array(starts, np.int64)[:, None] + np.arange(predictions + 1)].astype(np.int32)


def with_context(pieces: Sequence[Range]) -> list[Range]:
    """Ranges of a text, each begun 1,025 characters earlier, but not before the one before it ends.

    The last of those is the input whose target is the first of the range.
    """
    found, previous = [], 0
    for start, stop in pieces:
        found.append((max(previous, start - CONTEXT - 1), stop))
        previous = stop
    return found


def inside(ranges: Sequence[Range], at: int, length: int) -> NDArray[np.bool_]:
    """Bool [length]: which of the places of a text from `at` on are in ranges of it."""
    ends = np.clip(np.array(ranges, np.int64).reshape(-1, 2) - at, 0, length)
    begun, over = (np.bincount(end, minlength=length + 1) for end in ends.T)
    return np.cumsum(begun - over)[:length] > 0
