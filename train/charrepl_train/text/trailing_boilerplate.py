"""Finds ends of a text, and of each of its files, that are unlike the rest: a licence, or another language.

A model is measured by the end of its text and does not learn from it, so a person should know before it
trains. An end is unlike the rest if its pairs of bytes are hard to predict from how often each occurs in the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CELLS = 100  # of a text, that its end is compared to
_LEAST_BYTES, _MOST_BYTES = 2_000, 65_536  # of a cell
_LEAST_CELLS = 12  # below, there is no rest to be unlike
_MOST_CELLS = 30  # of which an end consists
_PARTS = 4  # of a cell, to find where it begins
_MOST_SHARE = 0.3  # of a text that can be its end
_LEAST_BITS = 0.5  # a byte, above what is usual
_SPREADS = 5.0  # as many times the usual difference
_MOST_OTHERS = 0.04  # of the other cells: where more are as unlike, the text is of many kinds
_MOST_FILES = 20  # with more of them, the end of each is looked at for a licence only
_LICENCE_CHARACTERS = 40_000
_LICENCE = re.compile(
    r"\bEND OF (?:THE|THIS) PROJECT GUTENBERG|\bProject Gutenberg(?:-tm|™)? License|\ball rights reserved\b"
    r"|\bpermission (?:is hereby granted|to use, copy)|\bprovided [“\"]as is[”\"]|\bwithout (?:any )?warranty"
    r"|\bterms of (?:use|this agreement|this license)|\b(?:licen[cs]ed|distributed) under\b"
    r"|\bcreative commons\b|\bgeneral public licen[cs]e"
    r"|\bcopyright (?:©|\(c\)|notice|holders?|laws?)|\btous droits réservés|\balle rechte vorbehalten"
    r"|\btodos los derechos reservados|\bвсе права защищены|著作権|版权所有|版權所有",
    re.IGNORECASE,
)


class End(NamedTuple):
    """The part at the end that is unlike the rest."""

    text: str
    licence: bool

    def __str__(self) -> str:
        return self.said()

    def said(self, of: str = "") -> str:
        """What a person should know, with the name of the file if there are several."""
        begins = " ".join(self.text.split()[:6])[:50]
        what = "look like a licence" if self.licence else "are unlike the rest"
        return (
            f"The last {len(self.text):,} characters{of and f' of {of}'}, from “{begins}” on, {what}. "
            "A model is measured by the end of its text: cut off what does not belong to it."
        )


Read = Callable[[int, int], bytes]


def remark(read: Read, files: Sequence[tuple[str, int]]) -> str:
    """What a person should know of the ends of a text's files, in one line; empty for nothing.

    `files` are their names and sizes in bytes, in order; `read(at, size)` are bytes of the text.
    """
    found, begin = [], 0
    for name, length in files:

        def part(at: int, size: int, begin: int = begin, length: int = length) -> bytes:
            return read(begin + at, min(size, length - at))

        end = unlike(part, length) if len(files) <= _MOST_FILES else licence(part, length)
        begin += length
        if end is not None:
            found.append((name, end))
    if not found or len(files) == 1:
        return str((found[0][1] if found else unlike(read, begin)) or "")
    (name, end), *others = found
    rest = f" See also the end of {', '.join(name for name, _ in others[:3])}" if others else ""
    more = f" and {len(others) - 3} more files" if len(others) > 3 else ""
    return end.said(name) + (f"{rest}{more}." if rest else "")


def licence(read: Read, length: int) -> End | None:
    """The end of a text in UTF-8, if it is a licence. See `unlike`."""
    most = 4 * _LICENCE_CHARACTERS
    tail = read(max(0, length - most), most).decode("utf-8", "ignore")[-_LICENCE_CHARACTERS:]
    begin = _licence(tail)
    return None if begin is None else End(tail[begin:], licence=True)


def unlike(read: Read, length: int) -> End | None:
    """The end of a text in UTF-8, if it is a licence or unlike what is before it.

    `read(at, size)` are bytes of the text, which has `length` of them.
    """
    found = licence(read, length)
    if found is not None:
        return found
    size = min(max(length // _CELLS, _LEAST_BYTES), _MOST_BYTES)
    cells = length // size
    last = min(int(_MOST_SHARE * cells), _MOST_CELLS)
    if cells < _LEAST_CELLS:
        return None
    before = np.unique(np.linspace(0, cells - last - 1, _CELLS).astype(int))
    usual = [read(int(cell) * size, size) for cell in before]
    ends = [read(length - (last - cell) * size, size) for cell in range(last)]
    strange = _strange(usual, ends)
    text = strange.decode("utf-8", "ignore")
    return End(text.split("\n", 1)[-1] or text, licence=False) if strange else None


def _licence(tail: str) -> int | None:
    """Where a licence begins in the end of a text: it says several things that only a licence says."""
    found = list(_LICENCE.finditer(tail))
    kinds = {match[0].lower() for match in found}
    if len(kinds) < 2:
        return None
    # A licence is all at one place: what is mentioned long before is another thing.
    first = len(found) - 1
    while first and found[first].start() - found[first - 1].end() < _LICENCE_CHARACTERS // 8:
        first -= 1
    if len({match[0].lower() for match in found[first:]}) < 2:
        return None
    return tail.rfind("\n", 0, found[first].start()) + 1


def _strange(usual: Sequence[bytes], ends: Sequence[bytes]) -> bytes:
    """What at the end of `ends`, cells of a text, is unlike the `usual` ones before; empty for nothing."""
    counts = np.array([_pairs(cell) for cell in usual])
    known = counts.sum(0)
    bits = np.array([_bits(own, known - own) for own in counts])
    middle = float(np.median(bits))
    margin = max(_LEAST_BITS, _SPREADS * float(np.median(np.abs(bits - middle))))
    if np.count_nonzero(bits > middle + margin) > _MOST_OTHERS * len(bits):
        return b""

    def last_strange(pieces: Sequence[bytes]) -> int:
        high = [_bits(_pairs(piece), known) > middle + margin for piece in pieces]
        return next((n for n, strange in enumerate(reversed(high)) if not strange), len(high))

    count = last_strange(ends)
    if not count or count == len(ends):  # all of it: then there is nothing at the end that is unlike the rest
        return b""
    # It begins within the cell before.
    border, size = ends[-count - 1], len(ends[0]) // _PARTS
    parts = [border[at : at + size] for at in range(0, len(border), size)]
    return b"".join([*parts[len(parts) - last_strange(parts) :], *ends[-count:]])


def _pairs(cell: bytes) -> NDArray[np.float32]:
    """How often each pair of bytes follow one another."""
    codes = np.frombuffer(cell, np.uint8).astype(np.int32)
    return np.bincount(codes[:-1] * 256 + codes[1:], minlength=65_536).astype(np.float32)


def _bits(own: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """What a byte of a cell costs, for a reader that knows the other cells."""
    table = others.reshape(256, 256) + np.float32(0.05)
    cost = np.log2(table.sum(1, keepdims=True)) - np.log2(table)
    return float((own * cost.reshape(-1)).sum() / max(1.0, float(own.sum())))
