"""Whether a text is in English, the language of the model that comes with charrepl."""

from __future__ import annotations

import re

# Not those that its neighbours have too, as Dutch has "of" and "is".
_COMMON = frozenset(
    ("the", "and", "to", "that", "it", "you", "with", "this", "are", "not", "but", "what", "be")
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_FEWEST = 200  # words by which one can tell
_SHARE = 0.06  # of all words


def is_english(sample: str) -> bool:
    """Whether English's most common words are common in a text."""
    words = _WORD.findall(sample.lower())
    return len(words) >= _FEWEST and sum(word in _COMMON for word in words) >= _SHARE * len(words)
