"""The window: which part of a text the model reads, as a function of its length alone.

Bounding the window bounds what a cold start costs, and letting it depend on nothing but the number
of characters makes a ghost a pure function of the text: no history of edits can change it.
"""

from __future__ import annotations

STRIDE = 1024
MAX_WIRE_CHARS = 65_536


def window_start(length: int) -> int:
    """Where the window of a text of `length` characters starts: a multiple of `STRIDE`.

    The model reads all of a text shorter than 2 x STRIDE, else its last STRIDE to 2 x STRIDE - 1
    characters.
    """
    return max(0, length // STRIDE - 1) * STRIDE


def windowed(text: str) -> tuple[str, int]:
    """The part of `text` the model reads, and the offset at which it starts."""
    start = window_start(len(text))
    return text[start:], start
