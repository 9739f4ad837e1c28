"""Cleaning a text as its tests do."""

from __future__ import annotations

from collections import Counter

from charrepl_train.cleaning import kinds


def clean(text: str, *asked: str) -> str:
    """The text, cleaned as those kinds."""
    return "".join(kinds.cleaned([text], asked, Counter()))


def counted(text: str, *asked: str) -> dict[str, int]:
    """What is left out of a text, by rule."""
    counts: Counter[str] = Counter()
    for _ in kinds.cleaned([text], asked, counts):
        pass
    return {rule: number for rule, number in counts.items() if number}
