"""The documents that a client has opened, as it believes them to be, and how it counts in them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

from charrepl.wire.protocol import replace_surrogates

# Of what follows the cursor: enough to see what is there already.
_LINES_AFTER = 9
_ENCODINGS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


class Units:
    """What a client counts a line's characters in: "utf-8", "utf-16" or "utf-32" code units."""

    def __init__(self, encoding: str = "utf-16") -> None:
        self._encoding, self._bytes = _ENCODINGS[encoding]

    def count(self, text: str) -> int:
        """How many units a text has."""
        return len(text) if text.isascii() else len(text.encode(self._encoding)) // self._bytes

    def characters(self, line: str, units: int) -> int:
        """How many characters of a line its first `units` are; one that they cut is not among them."""
        if line.isascii():
            return min(units, len(line))
        return len(line.encode(self._encoding)[: units * self._bytes].decode(self._encoding, "ignore"))


class Place(NamedTuple):
    """A place in a document: a line from 0, and a count of its characters."""

    row: int
    column: int


class Document:
    """A text in lines, of which any part can be replaced by another.

    A line feed, a carriage return, or both end a line, as the protocol has it, and nothing else does.
    """

    def __init__(self, text: str, *, language: str = "", path: Path | None = None) -> None:
        self.language = language
        self.path = path  # absolute; None for one that is no file
        self._lines = _split(_clean(text))  # each with its end; the last has none

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._lines)

    @property
    def rows(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @property
    def end(self) -> Place:
        """Where it ends."""
        return Place(len(self._lines) - 1, len(self._lines[-1]))

    def line(self, row: int) -> str:
        """A line without its end."""
        return self._lines[row].rstrip("\r\n")

    def place(self, row: int, units: int, counted_in: Units) -> Place:
        """The place that a client means: at the end of its line, or of the document, if it is beyond that."""
        if row >= len(self._lines):
            return self.end
        return Place(row, counted_in.characters(self.line(row), units))

    def replace(self, start: Place, end: Place, text: str) -> None:
        """Puts a text where what is between two places was."""
        start, end = min(start, end), max(start, end)
        # With a line more on both sides: "\r" and "\n" may have come together.
        first, behind = max(start.row - 1, 0), end.row + 2
        parts = [
            *self._lines[first : start.row],
            self._lines[start.row][: start.column],
            _clean(text),
            self._lines[end.row][end.column :],
            *self._lines[end.row + 1 : behind],
        ]
        lines = _split("".join(parts))
        if behind < len(self._lines):
            lines.pop()  # empty: more lines follow
        self._lines[first:behind] = lines

    def before(self, place: Place) -> str:
        """All text before a place, with line feeds alone."""
        text = "".join(self._lines[: place.row]) + self._lines[place.row][: place.column]
        return _with_newlines(text)

    def after(self, place: Place) -> str:
        """The rest of the line and the next few lines, with line feeds alone."""
        below = self._lines[place.row + 1 : place.row + _LINES_AFTER]
        return _with_newlines(self._lines[place.row][place.column :] + "".join(below))


def _split(text: str) -> list[str]:
    lines = list(io.StringIO(text, newline=""))
    if not lines or lines[-1].endswith(("\r", "\n")):
        lines.append("")
    return lines


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _clean(text: str) -> str:
    """A text without halves of characters, which JSON can hold: as wide in each of the encodings."""
    return text if text.isascii() else replace_surrogates(text)
