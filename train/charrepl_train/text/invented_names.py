"""Names that nobody has, like those of a text: a Markov chain over their letters."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Sequence

_END = "\n"
_CONTEXTS = (3, 2), (2, 1), (1, 0)  # letters before one that it follows from: the likeliest names first
_SHORTER = 0.3  # chance of the second
_TRIES = 4  # for each name


def invent(names: Sequence[str], number: int, *, seed: int, but: Collection[str]) -> list[str]:
    """At most `number` different capitalised names: none is in `names`, or in lower case in `but`.

    There may be fewer where the names are few and short.
    """
    following: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        letters = 3 * _END + name.lower() + _END
        for at in range(3, len(letters)):
            for context in range(4):
                following[letters[at - context : at]].append(letters[at])
    shortest, longest = min(map(len, names), default=0), max(map(len, names), default=0)
    taken = {*but, *(name.lower() for name in names)}
    chance = random.Random(seed)
    invented: list[str] = []
    for more, less in _CONTEXTS if names else ():
        for _ in range(_TRIES * number):
            if len(invented) == number:
                break
            name = ""
            while len(name) <= longest:
                context = less if chance.random() < _SHORTER else more
                letters = 3 * _END + name
                letter = chance.choice(following[letters[len(letters) - context :]])
                if letter == _END:
                    break
                name += letter
            if shortest <= len(name) <= longest and name not in taken:
                taken.add(name)
                invented.append(name.capitalize())
    return invented
