"""Words for a screen reader. `plain.py` says in words what the prompt shows by place, colour and symbol."""

from __future__ import annotations

import re

from prompt_toolkit.formatted_text import StyleAndTextTuples

from charrepl.ghost.state import Ghost, next_word
from charrepl.text import phrases
from charrepl.text.control_characters import printable

# Characters that a screen reader would read out as the names of symbols.
_IN_WORDS = str.maketrans({"↵": "newline", "…": "..."})
# So much of a begun word is repeated before a ghost that ends the word.
MOST_BEGUN = 40


def ghost(found: Ghost) -> str:
    """A shown ghost in one line. It says how sure the ghost is, and which of several it is.

    A word that the ghost ends is given from the word's beginning. Newlines are given as words.
    """
    sure = found.sure >= len(next_word(found.shown).rstrip()) if found.log_probs else True
    place = f" {found.place[0]} of {found.place[1]}" if found.place else ""
    begun = "" if found.shown[0].isspace() else re.split(r"\s", (found.text or "")[-MOST_BEGUN:])[-1]
    if phrases.unspaced(begun):
        begun = ""  # it would be the whole line, not a word
    lines = (begun + found.shown.rstrip("\n")).split("\n")
    told = " newline ".join(line.strip() for line in lines).strip() if any(lines) else "end of line"
    return f"{'ghost' if sure else 'perhaps'}{place}: {printable(told)}"


def passage(fragments: StyleAndTextTuples) -> str:
    """Scrollback output in words. Surprising characters are in brackets, the most surprising in two."""
    parts = []
    for style, text, *_ in fragments:
        level = style.rpartition("heat.")[2]
        parts.append(f"[[{text}]]" if level == "4" else f"[{text}]" if level == "3" else text)
    return printable("".join(parts).translate(_IN_WORDS))
