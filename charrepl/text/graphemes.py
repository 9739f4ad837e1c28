"""Grapheme clusters: characters as people see them, of one or more code points (UAX #29).

For example a letter with its marks, a flag, a family, or a Hangul syllable. We delete, move over, take and
cut only whole clusters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import wcwidth


def letters(text: str) -> int:
    """The number of characters in a text, if each letter and mark that can be one character are one."""
    return len(text) if text.isascii() else len(unicodedata.normalize("NFC", text))


def clusters(text: str) -> list[str]:
    """The clusters of a text, in order."""
    return list(iterate(text))


def iterate(text: str) -> Iterator[str]:
    """The clusters of a text, in order."""
    return iter(text) if text.isascii() and "\r" not in text else wcwidth.iter_graphemes(text)


def start(text: str, at: int) -> int:
    """The beginning of the cluster that `at` is inside of; `at` itself if it is between clusters."""
    if not 0 < at < len(text) or _apart(text[at - 1], text[at]):
        return at
    return _start_before(text, at + 1)


def end(text: str, at: int) -> int:
    """The end of the cluster that `at` is inside of; `at` itself if it is between clusters."""
    begins = start(text, at)
    return at if begins == at else begins + len(next(wcwidth.iter_graphemes(text, begins)))


def last_start(text: str) -> int:
    """Where the last cluster of a text begins."""
    return _start_before(text, len(text)) if text else 0


def cut(text: str, begin: int, most: int) -> int:
    """Where to end a piece of a text that begins at `begin`. Between clusters, unless one is too long."""
    at = start(text, begin + most)
    return min(begin + most, len(text)) if at <= begin else min(at, len(text))


def finished(text: str) -> str:
    """A text to which more will be added, without its last cluster if that may still grow.

    ASCII letters, Han, kana and Hangul syllables are kept: they hardly ever grow.
    """
    last = text[-1:]
    syllable = last > "\u2e80" and last.isalpha() and unicodedata.east_asian_width(last) == "W"
    return text if syllable or last < "\x80" else text[: last_start(text)]


def first(text: str) -> str:
    """The first cluster of a text, empty for none."""
    return text[:1] if len(text) < 2 or _apart(text[0], text[1]) else next(wcwidth.iter_graphemes(text))


def _start_before(text: str, at: int) -> int:
    """The beginning of the cluster of the character before `at`, whatever follows that character."""
    begins = int(wcwidth.grapheme_boundary_before(text, at))
    # It also stops after a prefix such as the Arabic number sign, which belongs to the same cluster.
    while begins and _joined(text[begins - 1] + "a") and _joined(text[begins - 1 : begins + 1]):
        begins = int(wcwidth.grapheme_boundary_before(text, begins))
    return begins


def _joined(pair: str) -> bool:
    return len(next(wcwidth.iter_graphemes(pair))) == len(pair)


def _apart(before: str, after: str) -> bool:
    """Whether two characters certainly belong to two clusters. ASCII characters do, except CR LF."""
    return before < "\x80" and after < "\x80" and before != "\r"
