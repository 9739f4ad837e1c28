"""The heat map of a text, and a bar chart of the likeliest next characters, for the scrollback."""

from __future__ import annotations

import math
from collections.abc import Sequence

import wcwidth
from prompt_toolkit.formatted_text import StyleAndTextTuples

from charrepl.terminal import terminal_width
from charrepl.terminal.early_prompt import INDENT
from charrepl.text import graphemes
from charrepl.text.control_characters import visible
from charrepl.writing.surprise import LEVELS, runs

BAR_COLUMNS = 40
# A bar grows in steps of an eighth of a cell.
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NAMES = {"\n": "↵", " ": "space", "\t": "tab"}


def heat_map(text: str, bits: Sequence[float]) -> StyleAndTextTuples:
    """A text in which each character's style shows its bits of surprise, and a legend of the styles."""
    drawn: StyleAndTextTuples = [("", INDENT)]
    for level, chars in runs(text.removesuffix("\n"), bits[: len(text.removesuffix("\n"))]):
        look = f"class:heat.{level}"
        for number, line in enumerate(chars.split("\n")):
            if number:
                drawn.append(("", f"\n{INDENT}"))
            drawn.append((look, visible(line)))
    drawn.append(("", f"\n\n{INDENT}"))
    edges = [0.0, *LEVELS]
    for level, least in enumerate(edges):
        range_ = f"{least:g}-{edges[level + 1]:g}" if level < len(LEVELS) else f"{least:g} or more"
        drawn += [(f"class:heat.{level}", range_), ("", "  ")]
    mean = math.fsum(bits) / graphemes.letters(text)
    return [*drawn, ("", f"bits; {mean:.2f} bits per character on average\n")]


def bars(characters: Sequence[tuple[str, float]], *, columns: int) -> str:
    """Lines that show how probable each character is, by its log-probability in nats.

    Without room for bars, there are only numbers.
    """
    room = max(0, min(BAR_COLUMNS, columns - len(INDENT) - 16))
    rows = [(_name(char), math.exp(nats)) for char, nats in characters]
    rest = max(0.0, 1 - math.fsum(probability for _, probability in rows))
    lines = [_bar(name, probability, room) for name, probability in [*rows, ("others", rest)]]
    return "\n".join(lines)


def _name(char: str) -> str:
    return _NAMES.get(char) or terminal_width.drawn(visible(char)) or f"U+{ord(char):04X}"


def _bar(name: str, probability: float, room: int) -> str:
    eighths = round(8 * room * min(1.0, probability))
    bar = ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
    return f"{name}{' ' * (6 - wcwidth.width(name))} {100 * probability:5.1f} %  {bar}".rstrip()
