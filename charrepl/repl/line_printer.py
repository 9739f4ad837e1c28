"""Prints lines on a terminal, one after another; the last one may still be typed.

What was printed is never printed over: no escape sequence is sent. What is deleted at the end of the
line is struck out with backspaces, as terminals do by themselves; where that will not do, the line
begins anew below.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from charrepl.terminal import terminal_width
from charrepl.terminal.early_prompt import INDENT, PROMPT
from charrepl.text import graphemes
from charrepl.text.control_characters import visible


class LinePrinter:
    """Prints with `write`. Without `echo`, the terminal's other end shows what is typed by itself."""

    def __init__(self, write: Callable[[str], None], *, echo: bool = True) -> None:
        self._write = write
        self._echo = echo
        self._line: str | None = None  # after the prompt; None while no line is begun

    def print(self, text: str) -> None:
        """Prints lines, below the one that is begun if there is one."""
        self.end()
        self._write(text if text.endswith("\n") else text + "\n")

    def show(self, line: str, *, typed: bool = False) -> None:
        """Has the line that is begun say `line`; `typed` if only what was just typed is new in it."""
        before = self._line
        if before is None:
            self._write(PROMPT + _drawn(line))
        elif line == before or (typed and not self._echo):
            pass
        elif line.startswith(before):
            self._write(_drawn(line[len(before) :]))
        elif before.startswith(line) and _on_one_row(before, len(line)) and _is_certain(before[len(line) :]):
            self._write("\b \b" * _width(before[len(line) :]))
        else:
            self._write(f"\n{PROMPT}{_drawn(line)}")
        self._line = line  # once it could be drawn

    def end(self, *, typed: bool = False) -> None:
        """Ends the line, if one is begun; `typed` if the key that ends it was."""
        if self._line is not None and not (typed and not self._echo):
            self._write("\n")
        self._line = None


def _drawn(text: str) -> str:
    return f"\n{INDENT}".join(visible(line) for line in text.split("\n"))


def _width(text: str) -> int:
    return sum(terminal_width.width(cluster) for cluster in graphemes.iterate(visible(text)))


def _is_certain(text: str) -> bool:
    """Whether every terminal draws a text as wide as is believed here."""
    return not any(
        terminal_width.doubtful(terminal_width.drawn(cluster)) for cluster in graphemes.iterate(visible(text))
    )


def _on_one_row(line: str, kept: int) -> bool:
    """Whether all of a line behind `kept` characters of it is on the row of the cursor."""
    if "\n" in line[kept:]:
        return False
    columns = shutil.get_terminal_size().columns
    row = line.rpartition("\n")[2]
    return len(PROMPT) + _width(row) < columns
