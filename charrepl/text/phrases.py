"""Phrases: our words in languages that write no spaces, such as Chinese, Japanese and Thai.

Only a dictionary knows where words end there. A phrase ends after punctuation, where Japanese changes from
the end of a word (hiragana) to the next word (kanji, katakana), where the script changes, and after a few
characters in any case.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from charrepl.text import graphemes

# The most characters of a phrase: two Chinese words, or one Thai word.
MOST = 6

_HIRAGANA = "\u3041-\u309f"
# Kanji and katakana, with the marks that continue them.
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
# All of their letters, for a regular expression.
UNSPACED = "".join(_KINDS)
_HIRAGANA_KIND, _HAN_KIND, _, _SPACED_KIND = range(4)


@cache
def _script() -> re.Pattern[str]:
    """Matches a letter of a script without spaces, in a group for each kind. Compiling it takes 3 ms."""
    return re.compile("|".join(f"([{kind}])" for kind in _KINDS))


def unspaced(text: str) -> bool:
    """Whether a text contains letters of a script without spaces."""
    return not text.isascii() and _script().search(text) is not None


def first(text: str) -> str:
    """The first phrase of a text, with what comes before it and its separator."""
    at = count = 0
    kind = -1  # the kind of the letter before; none yet
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
