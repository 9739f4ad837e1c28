"""Grapheme clusters: the characters that people see, each of one code point or more (UAX #29).

A letter with its marks, a flag, a family, a Hangul syllable. What is deleted, passed over, taken or cut
off is always whole clusters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import wcwidth


def letters(text: str) -> int:
    """How many characters a text has, where a letter and a mark that can be one character are one."""
    return len(text) if text.isascii() else len(unicodedata.normalize("NFC", text))


def clusters(text: str) -> list[str]:
    """The clusters of a text, in order."""
    return list(iterate(text))


def iterate(text: str) -> Iterator[str]:
    """The clusters of a text, in order."""
    return iter(text) if text.isascii() and "\r" not in text else wcwidth.iter_graphemes(text)


def start(text: str, at: int) -> int:
    """Where the cluster begins that `at` is inside of; `at`, if it is inside of none."""
    if not 0 < at < len(text) or _apart(text[at - 1], text[at]):
        return at
    return _start_before(text, at + 1)


def end(text: str, at: int) -> int:
    """Where the cluster ends that `at` is inside of; `at`, if it is inside of none."""
    begins = start(text, at)
    return at if begins == at else begins + len(next(wcwidth.iter_graphemes(text, begins)))


def last_start(text: str) -> int:
    """Where the last cluster of a text begins."""
    return _start_before(text, len(text)) if text else 0


def cut(text: str, begin: int, most: int) -> int:
    """Where to end a piece of a text that begins at `begin`: after whole clusters, if one is not too long."""
    at = start(text, begin + most)
    return min(begin + most, len(text)) if at <= begin else min(at, len(text))


def finished(text: str) -> str:
    """A text that more is to come of, without its last cluster where that may go on.

    Letters of ASCII, Han, kana and Hangul syllables are left as they are: they hardly ever do.
    """
    last = text[-1:]
    syllable = last > "\u2e80" and last.isalpha() and unicodedata.east_asian_width(last) == "W"
    return text if syllable or last < "\x80" else text[: last_start(text)]


def first(text: str) -> str:
    """The first cluster of a text, empty for none."""
    return text[:1] if len(text) < 2 or _apart(text[0], text[1]) else next(wcwidth.iter_graphemes(text))


def _start_before(text: str, at: int) -> int:
    """Where the cluster begins that has the character before `at`, whatever follows that."""
    begins = int(wcwidth.grapheme_boundary_before(text, at))
    # It stops at what a sign such as the Arabic number sign precedes, which is of the same cluster.
    while begins and _joined(text[begins - 1] + "a") and _joined(text[begins - 1 : begins + 1]):
        begins = int(wcwidth.grapheme_boundary_before(text, begins))
    return begins


def _joined(pair: str) -> bool:
    return len(next(wcwidth.iter_graphemes(pair))) == len(pair)


def _apart(before: str, after: str) -> bool:
    """Whether two characters are plainly of two clusters: all pairs of ASCII are, but CR LF."""
    return before < "\x80" and after < "\x80" and before != "\r"
