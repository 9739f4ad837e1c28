"""Words, in every script, with the marks on their letters. The editing keys move over and delete them."""

from __future__ import annotations

import re

from prompt_toolkit import document

# Characters outside words: symbols and punctuation. `_` belongs to words.
_SIGNS = (
    r"!-/:-@\[-^`{-~\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    r"\u2010-\u205e\u2190-\u2bff\u2e00-\u2e7f\u3001-\u3003\u3008-\u303f"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
# Includes the marks that join symbols, as they join letters.
_WORD = rf"[^\s{_SIGNS}]+|[{_SIGNS}\u200d\ufe0e\ufe0f]+"
_GAP = re.compile(rf"[\s{_SIGNS}]")


def is_gap(char: str) -> bool:
    """Whether a character is outside words."""
    return _GAP.match(char) is not None


def teach_the_editor() -> None:
    """Makes the line editor use these words. Its own words know only ASCII letters."""
    document._FIND_WORD_RE = re.compile(f"({_WORD})")
    document._FIND_CURRENT_WORD_RE = re.compile(f"^({_WORD})")
    document._FIND_CURRENT_WORD_INCLUDE_TRAILING_WHITESPACE_RE = re.compile(rf"^(({_WORD})\s*)")
