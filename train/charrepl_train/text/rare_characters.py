"""Which characters of a text are the rarest, and where they are: often they are slips."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Blocks = Callable[[], Iterable[tuple[int, bytes]]]  # UTF-8, each with the number of its file, from the start


class Rare(NamedTuple):
    """A character, how often it occurs, and where it does first."""

    character: str
    times: int
    file: int  # its number
    line: int  # from 1

    def __str__(self) -> str:
        number = f"U+{ord(self.character):04X}"
        return f"{self.character} ({number})" if shown(self.character) == self.character else number


def shown(character: str) -> str:
    """A character as it can be shown by itself: by its number if it leaves no mark, or stands on another."""
    visible = character.isprintable() and not character.isspace()
    visible = visible and not unicodedata.category(character).startswith("M")
    return character if visible else f"U+{ord(character):04X}"


def rarest(blocks: Blocks, most: int) -> tuple[int, list[Rare]]:
    """How many kinds of characters a text has, and so many of the rarest, those first."""
    counts = np.zeros(sys.maxunicode + 1, np.int64)
    for _, block in blocks():
        seen = np.bincount(code_points(block))
        counts[: len(seen)] += seen
    kinds = np.flatnonzero(counts)[::-1]  # of those that are as rare, the ones furthest from ASCII first
    wanted = kinds[np.argsort(counts[kinds], kind="stable")[:most]]
    places: dict[int, tuple[int, int]] = {}
    number, line = -1, 1
    for file, block in blocks():
        if file != number:
            number, line = file, 1
        points = code_points(block)
        for point in set(points[np.isin(points, wanted)].tolist()) - places.keys():
            at = int(np.argmax(points == point))
            places[point] = file, line + int((points[:at] == ord("\n")).sum())
        line += block.count(b"\n")
        if len(places) == len(wanted):
            break
    return len(kinds), [Rare(chr(point), int(counts[point]), *places[point]) for point in wanted.tolist()]


def code_points(block: bytes) -> NDArray[np.unsignedinteger]:
    """The characters of a text in UTF-8, as numbers."""
    if block.isascii():
        return np.frombuffer(block, np.uint8)
    return np.frombuffer(block.decode().encode("utf-32-le"), np.uint32)
