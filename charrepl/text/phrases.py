"""Phrases: what stands for a word where a language writes no spaces, as Chinese, Japanese and Thai.

Where words end there only a dictionary knows. A phrase ends behind punctuation, where Japanese goes from
the end of a word (hiragana) to the next (kanji, katakana), where the script changes, and after a few
characters anyhow.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from charrepl.text import graphemes

# Characters of a phrase at most: two words of Chinese, or one of Thai.
MOST = 6

_HIRAGANA = "\u3041-\u309f"
# Kanji and katakana, with the marks that go on from them.
_HAN = (
    "\u3005-\u3007\u30a0-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Thai, Lao, Tibetan, Myanmar, Khmer, and others of South-East Asia.
_OTHERS = (
    "\u0e00-\u0e3e\u0e40-\u0fff\u1000-\u109f\u1780-\u17da\u17dc-\u17ff\u1950-\u19ff\u1a20-\u1aaf"
    "\ua980-\ua9ff\uaa60-\uaadf"
)
_KINDS = (_HIRAGANA, _HAN, _OTHERS)
# The letters of all of them, for a regular expression.
UNSPACED = "".join(_KINDS)
_HIRAGANA_KIND, _HAN_KIND, _, _SPACED_KIND = range(4)


@cache
def _script() -> re.Pattern[str]:
    """Matches a letter of the scripts without spaces, in a group for each kind; it takes 3 ms to make."""
    return re.compile("|".join(f"([{kind}])" for kind in _KINDS))


def unspaced(text: str) -> bool:
    """Whether a text has letters of a script that is written without spaces."""
    return not text.isascii() and _script().search(text) is not None


def first(text: str) -> str:
    """The first phrase of a text, what stands before it and its separator included."""
    at = count = 0
    kind = -1  # of the letter before; none yet
    ended = False
    for cluster in graphemes.iterate(text):
        char = cluster[0]
        category = unicodedata.category(char)
        if char.isspace():
            if kind >= 0:
                return text[: at + len(cluster)]
        elif category in ("Ps", "Pi"):  # opens what comes next
            if kind >= 0:
                break
        elif category[0] == "P":
            ended = kind >= 0
        else:
            match = _script().match(char)
            found = match.lastindex - 1 if match and match.lastindex else _SPACED_KIND
            if kind >= 0 and (ended or _apart(kind, found) or (count >= MOST and found != _SPACED_KIND)):
                break
            kind, count = found, count + 1
        at += len(cluster)
    return text[:at]


def _apart(before: int, after: int) -> bool:
    return after != before and (before, after) != (_HAN_KIND, _HIRAGANA_KIND)
