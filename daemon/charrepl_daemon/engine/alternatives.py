"""Which ways to go on are worth offering beside one another."""

from __future__ import annotations

from collections.abc import Sequence

from charrepl.ghost.state import next_word

# Characters that tell two ways apart: the first piece of each, so that no alternative waits for another.
_TOLD = 8


def distinct(ways: Sequence[tuple[str, bool]], most: int) -> list[int]:
    """Which of the ways to offer, the likeliest first: at most so many, as far as is known by now.

    ways: what is written of each, and whether it is done; they begin with different characters. Two that
    say the same after their first, and two that begin with the same word in another case, count as one.
    More may follow as the ways go on; none is taken back.
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
