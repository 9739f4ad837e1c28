"""Which words of a text are names, from the text alone: of speakers, of senders, of whom it tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
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
_COMMON = 0.02  # lower-case occurrences for each with a capital, from which on a word is not a name
_NOUNS = 0.12  # part of the words inside sentences with a capital, where all nouns have one, as in German
_PIECE = 1 << 16  # characters
_READ = 1 << 23  # characters at most, from all over the text


class Names(NamedTuple):
    """The names of a text, each a word such as `Romeo`."""

    names: list[str]
    speaking: int  # how many of them speak
    part: float  # of all words of the text
    words: set[str]  # all of them, in lower case


def find(ids: Ids, vocabulary: Vocabulary) -> Names:
    """The names in the text of `ids`, in the order of the alphabet.

    A name is a word that hardly ever stands in lower case, and that speaks or is named again and again.
    """
    words: Counter[str] = Counter()
    mentioned: Counter[str] = Counter()
    speaking: Counter[str] = Counter()
    inside = 0
    for text in _pieces(ids, vocabulary):
        # Without what has no case: in Chinese, every long run without a blank would be kept.
        words.update(
            {word: n for word, n in Counter(_WORD.findall(text)).items() if word.lower() != word.upper()}
        )
        for word in _INSIDE.findall(text):
            inside += 1
            if len(word) > 2 and word.istitle():
                mentioned[word] += 1
        for label in _LABEL.findall(text):
            speaking.update(_speaking(label))
    if mentioned.total() > _NOUNS * inside:
        mentioned.clear()

    def is_common(name: str) -> bool:
        return words[name.lower()] > _COMMON * (words[name] + words[name.upper()])

    likely = {name for name, times in mentioned.items() if times >= _MENTIONED}
    likely |= {name for name, times in speaking.items() if times >= _LABELLED}
    names = sorted(name for name in likely if not is_common(name))
    named = sum(words[name] + words[name.upper()] for name in names)
    return Names(
        names,
        sum(speaking[name] >= _LABELLED for name in names),
        named / max(1, words.total()),
        {word.lower() for word in words},
    )


def _pieces(ids: Ids, vocabulary: Vocabulary) -> Iterator[str]:
    apart = max(1, -(-len(ids) // _READ)) * _PIECE
    for start in range(0, len(ids), apart):
        yield vocabulary.decode(ids[start : start + _PIECE])


def _speaking(label: str) -> Iterator[str]:
    """Each word of a label such as `LADY ROMEO` that may be a name, as `Romeo`; of a sentence none."""
    words = _WORD.findall(label)
    if len(words) > 5 or any(word[0].islower() and len(word) > 3 for word in words):
        return
    for word in words:
        name = word.capitalize()
        if len(word) > 1 and word in (name, name.upper()) and not _ROMAN.fullmatch(word):
            yield name
