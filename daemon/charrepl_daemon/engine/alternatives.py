"""Which alternatives are different enough to be offered together."""

from __future__ import annotations

from collections.abc import Sequence

from charrepl.ghost.state import next_word

# Characters that are compared: the first piece of each alternative, so that none waits for another.
_TOLD = 8


def distinct(ways: Sequence[tuple[str, bool]], most: int) -> list[int]:
    """Which of the alternatives (`ways`) to offer, the likeliest first: at most `most`, as far as known yet.

    ways: what is written of each so far, and whether it is done. They begin with different characters. Two
    count as one if they are the same after the first character, or begin with the same word in upper and
    lower case. A later call may return more, and never fewer.
    """
    chosen: list[int] = []
    for index, (text, done) in enumerate(ways):
        if len(chosen) == most or not (done or len(text) >= _TOLD):
            break
        if text and not any(_alike(text, ways[other][0]) for other in chosen):
            chosen.append(index)
    return chosen


def _alike(one: str, other: str) -> bool:
    one, other = one[:_TOLD].casefold(), other[:_TOLD].casefold()
    return one[1:] == other[1:] or next_word(one) == next_word(other)
