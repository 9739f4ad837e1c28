r"""Where a ghost would go in circles: a greedy one comes back to its own words, and then never leaves them.

A ghost repeats itself where words of it come again within `FARTHEST` characters, `ENOUGH` characters of
them, or where all that stands between two places comes again, be it the writer's own words before the
cursor. It ends before the second copy. Where the writer has begun that copy, the ghost may end it, and
begins no other. Within a word, syllables that follow one another many times count too.

Of a character that is no letter, as in `...` or a ruler, there are three in a row at most. Of several, as in
`?!`, there are two copies; a third may begin where its first one closes, as in `| --- | --- |`. A ghost may
have as many as the text has already. Spaces alone, as in an indentation, repeat nothing.

All of it is a rule on the text alone, and what it says of a ghost's beginning never changes as the ghost
grows: so it may be asked piece by piece, and after a part of the ghost was taken.
"""

from __future__ import annotations

import bisect
import functools
import re
from typing import NamedTuple

from charrepl.text import phrases

# Characters from a copy to the next one. A ghost has 48, so that it would hardly show a larger circle.
FARTHEST = 48
# So many characters tell a copy of the ghost's own words, be it longer.
ENOUGH = 8
# Characters before the cursor that count as begun: two copies, of which the first tells how many there are.
REACH = 2 * FARTHEST

# A word begins at a letter or digit that follows none; in scripts without spaces, at each character.
_WORD = re.compile(rf"(?<![^\W_])[^\W_]|[{phrases.UNSPACED}]")
_WITHIN = re.compile(r"[^\W_]+\Z")  # the word that a text ends in
_SYLLABLES = re.compile(r"(?=(([^\W_]{1,6}?)\2{2,}))")
_STUTTER = 12  # characters of syllables that say the same as those before them
_WITHOUT_LETTERS = re.compile(r"[\W_]*\Z")
_SIGN = r"(?!\s)[\W_]"
# Four of one sign, or two copies of several with a third one begun. Of more there is no third in a ghost.
_SIGNS = re.compile(rf"(?=({_SIGN})(?:\1{{3}}|([\W_]{{1,{FARTHEST // 2 - 1}}}?)\1\2\1))")


class Straight(NamedTuple):
    """How much of a ghost goes straight on, in characters."""

    length: int  # before it repeats itself, as far as it is written; all of it if it does not
    told: int  # of them, those that stay whatever follows: the others may yet begin a repetition
    ended: bool  # whether `length` stays whatever follows


def straight(before: str, ghost: str) -> Straight:
    """How much of a ghost after the text `before` may be shown."""
    near = before[-REACH:]
    text, cursor = near + ghost, len(near)
    begun = _begun(near)
    ends, waits = _stutter(text, cursor, begun.word), len(text)
    ends = min(ends, _repeated_signs(text, cursor, begun.signs, before[: len(before) - cursor]))
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
    signs: int  # where what has no letter begins in which it ends


@functools.lru_cache(maxsize=256)  # a ghost is looked at with each piece of it
def _begun(before: str) -> _Begun:
    within = _WITHIN.search(before)
    signs = _WITHOUT_LETTERS.search(before)
    begun = _Begun({}, [], within.start() if within else len(before), signs.start() if signs else len(before))
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


def _repeated_signs(text: str, cursor: int, signs: int, far: str) -> int:
    """Where a ghost ends that repeats what has no letter, as a place in the text; its end if none does.

    `signs` is where such begins that the cursor is in, `far` what stands before the text.
    """
    ends, at, seen = len(text), signs, set()
    while found := _SIGNS.search(text, at):
        first = found.start()
        period = len(found[1] + (found[2] or ""))
        last = first + period + _alike(text, first, first + period)
        # What repeats another way has less than a copy of each in common with this.
        at = max(first + 1, last - period - FARTHEST // 2)
        if last <= cursor or (period, last) in seen:  # the latter was begun further left
            continue
        seen.add((period, last))
        whole, begin = far + text, len(far) + first
        while first == 0 < begin and whole[begin - 1] == whole[begin - 1 + period]:  # before the text
            begin -= 1
        written, run = whole[:begin], whole[begin : len(far) + last]
        least = 3 if period == 1 else 2 * period + (period > 2)
        longer = range(least + 1, len(run) + 1)
        count = least + bisect.bisect(longer, False, key=lambda n: run[:n] not in written)
        if count < len(run):
            begin -= len(far)
            ends = min(ends, max(begin + count, cursor + (begin - cursor) % period))
    return ends
