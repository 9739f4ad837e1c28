r"""Where a ghost begins to repeat itself. A greedy ghost that returns to its own words repeats them forever.

A ghost repeats itself if `ENOUGH` characters of its words come again within `FARTHEST` characters. It also
does if everything between two places comes again, and this includes the writer's own words before the
cursor. It ends before the second copy. If the writer has begun that copy, the ghost may complete it, but
begins no other. Within a word, a syllable that is repeated many times counts too.

A character that is not a letter, as in `...` or a ruler, comes three times in a row at most. Several such
characters, as in `?!`, come twice. The first of them may come a third time to close them, as in
`| --- | --- |`. A ghost may have as many copies as the text has already. Spaces alone, as in an indentation,
are not a repetition.

The rule depends only on the text. Its answer about a ghost's beginning never changes when the ghost grows.
So it can be applied piece by piece, and after a part of the ghost was taken.
"""

from __future__ import annotations

import bisect
import functools
import re
from typing import NamedTuple

from charrepl.text import phrases

# Characters from a copy to the next one. A ghost has 48, so it could hardly show a longer period.
FARTHEST = 48
# So many equal characters are enough to recognise a copy, even of a longer one.
ENOUGH = 8
# Characters before the cursor that we look at: room for two copies.
REACH = 2 * FARTHEST

# A word begins at a letter or digit after something else. In scripts without spaces, at each character.
_WORD = re.compile(rf"(?<![^\W_])[^\W_]|[{phrases.UNSPACED}]")
_WITHIN = re.compile(r"[^\W_]+\Z")  # the unfinished word at a text's end
_SYLLABLES = re.compile(r"(?=(([^\W_]{1,6}?)\2{2,}))")
_STUTTER = 12  # characters of repeated syllables, without the first copy
_WITHOUT_LETTERS = re.compile(r"[\W_]*\Z")
_SIGN = r"(?!\s)[\W_]"
# Four times one character, or two copies of several and the first character of a third copy.
_SIGNS = re.compile(rf"(?=({_SIGN})(?:\1{{3}}|([\W_]{{1,{FARTHEST // 2 - 1}}}?)\1\2\1))")


class Straight(NamedTuple):
    """How much of a ghost is without repetition, in characters."""

    length: int  # up to the repetition, or the whole ghost so far if there is none
    told: int  # the part of it that stays, whatever follows; the rest may become part of a repetition
    ended: bool  # whether `length` stays, whatever follows


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
    words: dict[str, list[int]] = {}  # by first character, where the ghost's words begin
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
    """The words in the text before the cursor."""

    words: dict[str, list[int]]  # by first character, where they begin
    copies: list[tuple[int, int]]  # two words each; from there on, the text is the same up to the cursor
    word: int  # where the unfinished word at its end begins
    signs: int  # where the characters at its end that are not letters begin


@functools.lru_cache(maxsize=256)  # called for each piece of a ghost
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
    """How many characters from `second` on are the same as those from `first` on."""
    count = 0
    while second + count < len(text) and text[first + count] == text[second + count]:
        count += 1
    return count


def _stutter(text: str, cursor: int, word: int) -> int:
    """The place in the text where a ghost must end because it stutters within a word; else the text's end.

    `word` is where the word with the cursor begins.
    """
    ends = len(text)
    for found in _SYLLABLES.finditer(text, word):
        period = len(found[2])
        enough = found.start() + period + _STUTTER
        if found.start() + len(found[1]) >= max(enough, cursor + 1):
            ends = min(ends, max(enough, cursor + period))
    return ends


def _repeated_signs(text: str, cursor: int, signs: int, far: str) -> int:
    """The place in the text where a ghost must end because it repeats symbols; else the text's end.

    `signs` is where the symbols with the cursor begin. `far` is what comes before the text.
    """
    ends, at, seen = len(text), signs, set()
    while found := _SIGNS.search(text, at):
        first = found.start()
        period = len(found[1] + (found[2] or ""))
        last = first + period + _alike(text, first, first + period)
        # A different repetition overlaps with this one by less than a copy of each.
        at = max(first + 1, last - period - FARTHEST // 2)
        if last <= cursor or (period, last) in seen:  # a seen one began further left
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
