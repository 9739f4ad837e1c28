"""Which characters are read as one letter, and what stands for a character that a model lacks.

The same letter, composed (é) or decomposed (e and an accent), is brought to one form before it is counted
or read: `normal` and `normal_pieces`. Which form that is belongs to the vocabulary, so that a model
made before there was one reads as it always has.

A quote, dash or space that a vocabulary lacks is read as the nearest that it has: `substitutes`. That
turns an unknown character into a known one and nothing else, one for one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from typing import Literal, NamedTuple

from charrepl.text import typographic_characters

NormalForm = Literal["", "NFC"]
NFC: NormalForm = "NFC"

# Characters of a kind: the fewer places apart, the more alike.
_QUOTES = tuple(plain + typographic_characters.OF[plain] for plain in "\"'")
_KINDS = (
    *_QUOTES,
    "-" + typographic_characters.OF["-"] + "‒−–—―",
    " " + typographic_characters.OF[" "],
    ".…",
)
# Quotes by what they do, as pairs of which a text uses one: English, German, Polish, French, the other way.
_PAIRS = ("“”", "„“", "„”", "«»", "»«"), ("‘’", "‚‘", "‚’", "‹›", "›‹")
_OPENING = "“„‟«", "‘‚‛‹"


class Substitutes(NamedTuple):
    """What stands for characters that a vocabulary lacks."""

    always: dict[str, str]
    opening: dict[str, str]  # before a word, in the place of `always`


def substitutes(known: Collection[str]) -> Substitutes:
    """A known character for each that is not known and has one of its kind."""
    always: dict[str, str] = {}
    for kind in _KINDS:
        places = {char: place for place, char in enumerate(kind) if char in known}
        for at, char in enumerate(kind):
            if places and char not in known:
                always[char] = min(places, key=lambda other: (abs(places[other] - at), places[other]))
    always.pop(".", None)  # three of them are one …
    opening: dict[str, str] = {}
    for pairs, quotes, begins in zip(_PAIRS, _QUOTES, _OPENING, strict=True):
        straight = quotes[0]
        pair = next((pair for pair in pairs if pair[0] in known and pair[1] in known), None)
        if pair is None or straight in known:
            continue
        always |= {char: pair[0] if char in begins else pair[1] for char in quotes if char not in known}
        opening[straight] = pair[0]
    return Substitutes(always, opening)


def normal(text: str, form: NormalForm) -> str:
    """`text` in a normal form; unchanged if there is none."""
    return unicodedata.normalize(form, text) if form and not text.isascii() else text


def is_normal(text: str, form: NormalForm) -> bool:
    """Whether a text is in a normal form."""
    return not form or text.isascii() or unicodedata.is_normalized(form, text)


def normal_pieces(pieces: Iterable[str], form: NormalForm) -> Iterator[str]:
    """A text in a normal form, a piece at a time, however it was cut into pieces."""
    from charrepl.text.graphemes import last_start

    held = ""  # the last letter of a piece, which the next one may add to
    for piece in pieces:
        text = held + piece
        cut = last_start(text)
        held = text[cut:]
        if cut:
            yield normal(text[:cut], form)
    if held:
        yield normal(held, form)
