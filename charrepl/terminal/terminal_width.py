"""How many columns each grapheme cluster takes in a terminal, and what is sent to draw it.

A terminal may draw a flag, a family or a Devanagari syllable with another width than we expect. So each
cluster whose width is in doubt is drawn alone. Then the cursor is put where the next one belongs. If the
width was wrong, only that cluster is drawn wrong, and nothing after it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

import wcwidth
from prompt_toolkit.formatted_text import StyleAndTextTuples

# The library adds up the widths of a cluster's characters, unless it finds the cluster in this table.
from prompt_toolkit.utils import _CHAR_SIZES_CACHE as WIDTHS

from charrepl.text import graphemes
from charrepl.text.control_characters import shown

# A mark that has no letter before it is drawn on this one.
_CIRCLE = "\u25cc"
# They have no width, and no meaning without a letter.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u200c\u200d"


class Cluster(str):
    """A cluster as it is drawn. It takes the place of its first character; the others become empty."""

    __slots__ = ("characters",)
    characters: int

    def __iter__(self) -> Iterator[str]:
        yield str(self)
        yield from [""] * (self.characters - 1)


@lru_cache(maxsize=4096)
def drawn(cluster: str) -> str:
    """What is drawn for a cluster, empty for nothing. From now on, the line editor knows its width."""
    text = shown(cluster)
    if text and wcwidth.wcswidth(text) == 0:
        alone = all(char in _FILLERS or "\ufe00" <= char <= "\ufe0f" for char in text)
        text = "" if alone or unicodedata.category(text[0])[0] != "M" else _CIRCLE + text
    if not text.isascii() and unicodedata.category(text[0]) != "Cc":
        WIDTHS[text] = max(0, wcwidth.wcstwidth(text, term_program=_terminal()))
    return text


@cache
def _terminal() -> str | bool:
    """The terminal's name, if the library may know how it draws; False if not.

    Any terminal may call itself `xterm`, and yet follow the standard where xterm does not.
    """
    name = os.environ.get("TERM_PROGRAM") or os.environ.get("TERM", "")
    return name if name.lower() not in ("", "xterm") else False


def width(cluster: str) -> int:
    """How many columns a cluster takes."""
    return WIDTHS[drawn(cluster)]


@lru_cache(maxsize=4096)
def doubtful(text: str) -> bool:
    """Whether a text is a single cluster that terminals may draw with other widths."""
    if text.isascii() or len(graphemes.first(text)) != len(text):
        return False
    if len(text) > 1:
        # Every terminal draws a few accents on a European letter correctly.
        accents = all(unicodedata.category(mark) == "Mn" for mark in text[1:4])
        return not (text[0].isalpha() and text[0] < "\u0590" and accents and len(text) <= 4)
    kind = unicodedata.category(text)
    # A symbol that is an emoji, or can be one.
    return kind[0] in "MC" or (kind in ("So", "Sk") and wcwidth.wcswidth(text + "\ufe0f") == 2)


def drawable(fragments: StyleAndTextTuples) -> StyleAndTextTuples:
    """A line, as the library draws it, in clusters. Each has the style of its first character."""
    if all(fragment[1].isascii() for fragment in fragments):
        return fragments
    return _line(tuple((fragment[0], fragment[1]) for fragment in fragments))


@lru_cache(maxsize=64)  # each line is asked for several times a frame, and most lines do not change
def _line(fragments: tuple[tuple[str, str], ...]) -> StyleAndTextTuples:
    text = "".join(text for _, text in fragments)
    styles = [style for style, text in fragments for _ in text]
    line: StyleAndTextTuples = []
    at = first = 0  # from `first` to `at`, the characters have one style and are drawn as they are
    for part in graphemes.iterate(text):
        cell = drawn(part)
        alone = len(part) > 1 or cell != part
        if first < at and (alone or styles[at] != styles[first]):
            line.append((styles[first], text[first:at]))
            first = at
        if alone:
            cluster = Cluster(cell)
            cluster.characters = len(part)
            line.append((styles[at], cluster))
            first = at + len(part)
        at += len(part)
    if first < at:
        line.append((styles[first], text[first:at]))
    return line
