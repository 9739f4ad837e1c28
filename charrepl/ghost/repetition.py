r"""Where a ghost would go in circles: a greedy one comes back to its own words, and then never leaves them.

A ghost repeats itself where words of it come again within `FARTHEST` characters, `ENOUGH` characters of
them, or where all that stands between two places comes again, be it the writer's own words before the
cursor. It ends before the second copy. Where the writer has begun that copy, the ghost may end it, and
begins no other. Within a word, syllables that follow one another many times count too.

All of it is a rule on the text alone, and what it says of a ghost's beginning never changes as the ghost
grows: so it may be asked piece by piece, and after a part of the ghost was taken.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from charrepl.text import phrases

# Characters from a copy to the next one. A ghost has 48, so that it would hardly show a larger circle.
FARTHEST = 48
# So many characters tell a copy of the ghost's own words, be it longer.
ENOUGH = 8
# Characters before the cursor that count: two copies, of which the first tells how many there are.
REACH = 2 * FARTHEST

# A word begins at a letter or digit that follows none; in scripts without spaces, at each character.
_WORD = re.compile(rf"(?<![^\W_])[^\W_]|[{phrases.UNSPACED}]")
_WITHIN = re.compile(r"[^\W_]+\Z")  # the word that a text ends in
_SYLLABLES = re.compile(r"(?=(([^\W_]{1,6}?)\2{2,}))")
_STUTTER = 12  # characters of syllables that say the same as those before them


class Straight(NamedTuple):
    """How much of a ghost goes straight on, in characters."""

    length: int  # before it repeats itself, as far as it is written; all of it if it does not
    told: int  # of them, those that stay whatever follows: the others may yet begin a repetition
    ended: bool  # whether `length` stays whatever follows


def straight(before: str, ghost: str) -> Straight:
    """How much of a ghost after the text `before` may be shown."""
    before = before[-REACH:]
    text, cursor = before + ghost, len(before)
    begun = _begun(before)
    ends, waits = _stutter(text, cursor, begun.word), len(text)
    for first, at in begun.copies:
        period = at - first
        alike = _alike(text, first, at)
        copy_end = cursor + period - (cursor - first) % period
        if alike >= min(period, ENOUGH + cursor - first) and at + alike > copy_end:
            ends = min(ends, copy_end)
    words: dict[str, list[int]] = {}  # where words of the ghost with this first character begin
    for found in _WORD.finditer(text, cursor):
        at = found.start()
        earlier = words.setdefault(text[at], [])
        for first in (*begun.words.get(text[at], ()), *earlier):
            period = at - first
            if period > FARTHEST:
                continue
            alike = _alike(text, first, at)
            if alike >= min(period, ENOUGH + max(0, cursor - first)):
                ends = min(ends, at)
            elif at + alike == len(text):
                waits = min(waits, at)
        earlier.append(at)
    return Straight(ends - cursor, min(ends, waits) - cursor, ends < len(text) and ends <= waits)


class _Begun(NamedTuple):
    """What the text before the cursor has of words."""

    words: dict[str, list[int]]  # where those with this first character begin
    copies: list[tuple[int, int]]  # two words each: all from the second on is as from the first on
    word: int  # where the word begins in which it ends


@functools.lru_cache(maxsize=256)  # a ghost is looked at with each piece of it
def _begun(before: str) -> _Begun:
    within = _WITHIN.search(before)
    begun = _Begun({}, [], within.start() if within else len(before))
    for found in _WORD.finditer(before):
        at = found.start()
        earlier = begun.words.setdefault(before[at], [])
        if at >= len(before) - FARTHEST:
            near = [first for first in earlier if at - first <= FARTHEST]
            begun.copies.extend((first, at) for first in near if before.startswith(before[at:], first))
        earlier.append(at)
    return begun


def _alike(text: str, first: int, second: int) -> int:
    """How many characters from `second` on are those from `first` on."""
    count = 0
    while second + count < len(text) and text[first + count] == text[second + count]:
        count += 1
    return count


def _stutter(text: str, cursor: int, word: int) -> int:
    """Where a ghost that stutters within a word ends, as a place in the text; its end if none does.

    `word` is where the one begins that the cursor is in.
    """
    ends = len(text)
    for found in _SYLLABLES.finditer(text, word):
        period = len(found[2])
        enough = found.start() + period + _STUTTER
        if found.start() + len(found[1]) >= max(enough, cursor + 1):
            ends = min(ends, max(enough, cursor + period))
    return ends
