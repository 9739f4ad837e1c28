"""Texts of which an editor sends only the end: where the model begins to read them.

Plugins cut what they send to so many lines or characters. So its beginning moves as you type, and with it
every window that is counted from there: each line, or each key, would make a text that was never read before.
"""

from __future__ import annotations

import re
import zlib

from charrepl.wire.context_window import STRIDE

_TOLD = 32  # characters that tell one place from another


def anchored(text: str) -> str:
    """The end of a text, from a place on that stays the same while its beginning moves and its end grows.

    At most 2 x STRIDE - 1 characters, and at least STRIDE of a text that is longer. Of the lines that may be
    first, or else the words, the one with the least checksum is first: a new line seldom has a lower one.
    """
    if len(text) < 2 * STRIDE:
        return text
    first, last = len(text) - 2 * STRIDE + 1, len(text) - STRIDE
    region = text[first - 1 : last]
    for boundary in (r"\n", r"\s"):
        starts = [first - 1 + found.end() for found in re.finditer(boundary, region)]
        if starts:
            return text[min(starts, key=lambda at: _checksum(text[at : at + _TOLD])) :]
    return text[last:]


def _checksum(place: str) -> int:
    return zlib.crc32(place.encode("utf-8", "surrogatepass"))
