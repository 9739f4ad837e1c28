"""Words for a screen reader: what the prompt shows by place, colour and sign, for `plain.py`."""

from __future__ import annotations

import re

from prompt_toolkit.formatted_text import StyleAndTextTuples

from charrepl.ghost.state import Ghost, next_word
from charrepl.text import phrases
from charrepl.text.control_characters import printable

# What would be read out as the names of signs.
_IN_WORDS = str.maketrans({"↵": "newline", "…": "..."})
# Of a word that has begun, what is said with a ghost that ends it.
MOST_BEGUN = 40


def ghost(found: Ghost) -> str:
    """A ghost that is shown, in one line, by how sure it is, and which of several it is.

    The word that it ends is said from its beginning, and newlines in words.
    """
    sure = found.sure >= len(next_word(found.shown).rstrip()) if found.log_probs else True
    place = f" {found.place[0]} of {found.place[1]}" if found.place else ""
    begun = "" if found.shown[0].isspace() else re.split(r"\s", (found.text or "")[-MOST_BEGUN:])[-1]
    if phrases.unspaced(begun):
        begun = ""  # it would be all of the line, and no word
    lines = (begun + found.shown.rstrip("\n")).split("\n")
    told = " newline ".join(line.strip() for line in lines).strip() if any(lines) else "end of line"
    return f"{'ghost' if sure else 'perhaps'}{place}: {printable(told)}"


def passage(fragments: StyleAndTextTuples) -> str:
    """What is drawn elsewhere: the more surprising characters in brackets, the most surprising in two."""
    parts = []
    for style, text, *_ in fragments:
        level = style.rpartition("heat.")[2]
        parts.append(f"[[{text}]]" if level == "4" else f"[{text}]" if level == "3" else text)
    return printable("".join(parts).translate(_IN_WORDS))
