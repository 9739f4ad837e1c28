"""Which words of a text are names, from the text alone: of speakers, of senders, of whom it tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from charrepl_train.text.batching import Ids
from charrepl_train.text.vocabulary import Vocabulary

LETTER = r"[^\W\d_]"

_WORD = re.compile(rf"{LETTER}+")
# Inside a sentence, where a capital says something.
_INSIDE = re.compile(rf"(?<=[\w,;] ){LETTER}+")
# `ROMEO:`, `Lady Anne: ...`, `[12:03] Anna: ...`, `12/03/24, 12:03 PM - Anna: ...`
_TIME = r"(?:\[[^\]\n]{3,40}\]|\d[\d/.,: \-]{3,30}(?:[AaPp]\.?[Mm]\.?)?)"
_LABEL = re.compile(rf"^(?:{_TIME}[ \-–]*)?({LETTER}[^\n:]{{0,39}}):(?=\s)", re.MULTILINE)
_ROMAN = re.compile(r"[IVXLCDM]+")

_LABELLED = 2  # times that a speaker speaks
_MENTIONED = 4  # times that somebody who never speaks is named inside a sentence
_COMMON = 0.02  # lower-case occurrences for each with a capital, from which on a word is no name
_NOUNS = 0.12  # part of the words inside sentences with a capital, where all nouns have one, as in German
_PIECE = 1 << 16  # characters
_READ = 1 << 24  # characters at most, from all over the text


class Names(NamedTuple):
    """The names of a text, each a word such as `Romeo`, and all words of it in lower case."""

    names: list[str]
    words: set[str]


def find(ids: Ids, vocabulary: Vocabulary) -> Names:
    """The names in the text of `ids`, in the order of the alphabet.

    A name is a word that hardly ever stands in lower case, and that speaks or is named again and again.
    """
    return _find(_pieces(ids, vocabulary))


def _pieces(ids: Ids, vocabulary: Vocabulary) -> Iterator[str]:
    apart = _PIECE * -(-len(ids) // _READ)
    for start in range(0, len(ids), max(apart, _PIECE)):
        yield vocabulary.decode(ids[start : start + _PIECE])


def _find(pieces: Iterable[str]) -> Names:
    words: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for text in pieces:
        words.update(_WORD.findall(text))
        inside.update(_INSIDE.findall(text))
        labels.update(_LABEL.findall(text))
    mentioned = {word: times for word, times in inside.items() if word.istitle() and len(word) > 2}
    if sum(mentioned.values()) > _NOUNS * sum(inside.values()):
        mentioned = {}
    speaking = _speaking(labels)

    def is_common(name: str) -> bool:
        capitals = words[name] + words[name.upper()]
        return words[name.lower()] > _COMMON * capitals

    names = {name for name, times in mentioned.items() if times >= _MENTIONED}
    names |= {name for name, times in speaking.items() if times >= _LABELLED}
    return Names(sorted(name for name in names if not is_common(name)), {word.lower() for word in words})


def _speaking(labels: Counter[str]) -> Counter[str]:
    """How often each word, such as `Romeo`, stands in a label that has nothing but names and their like."""
    speaking: Counter[str] = Counter()
    for label, times in labels.items():
        words = _WORD.findall(label)
        if len(words) > 5 or any(word[0].islower() and len(word) > 3 for word in words):
            continue
        for word in words:
            name = word.capitalize()
            if len(word) > 1 and word in (name, name.upper()) and not _ROMAN.fullmatch(word):
                speaking[name] += times
    return speaking
