"""A text in pieces as lines, and lines as pieces again."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

UNDECODABLE = "surrogateescape"  # how Python reads bytes that a kind of text decodes itself

_PIECE = 1 << 18  # characters: few pieces to a text, and little memory
_LINE = 1 << 16  # characters, after which a line is cut: it is not one that somebody typed


def begun(pieces: Iterable[str]) -> tuple[str, Iterator[str]]:
    """What a text begins with, at least to its first character that is no space, and all of its pieces."""
    pieces = iter(pieces)
    start = ""
    while not start.strip():
        piece = next(pieces, None)
        if piece is None:
            break
        start += piece
    return start, itertools.chain(filter(None, [start]), pieces)


def split(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text, each with its newline, wherever the pieces were cut."""
    held = ""
    for piece in pieces:
        *whole, held = (held + piece).split("\n")
        for line in whole:
            yield line + "\n"
        while len(held) >= _LINE:
            yield held[:_LINE]
            held = held[_LINE:]
    if held:
        yield held


def joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines as pieces that are not empty, and long enough to be few."""
    held: list[str] = []
    length = 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= _PIECE:
            yield "".join(held)
            held, length = [], 0
    if length:
        yield "".join(held)
