"""The window: the part of a text that the model reads. It depends only on the text's length.

A limited window limits the cost of a cold start. Because it depends only on the number of characters, a
ghost is a pure function of the text: the history of edits cannot change it.
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
