"""Prints lines on a terminal, one after another. The last line may still be being typed.

Nothing printed is ever overwritten: no escape sequence is sent. Characters deleted at the end of the line
are erased with backspaces, as terminals do by themselves. Where that does not work, the line is printed
again below.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from charrepl.terminal import terminal_width
from charrepl.terminal.early_prompt import INDENT, PROMPT
from charrepl.text import graphemes
from charrepl.text.control_characters import visible


class LinePrinter:
    """Prints with `write`. Without `echo`, the program around this one shows what is typed, as Emacs does."""

    def __init__(self, write: Callable[[str], None], *, echo: bool = True) -> None:
        self._write = write
        self._echo = echo
        self._line: str | None = None  # after the prompt; None while no line is begun

    def print(self, text: str) -> None:
        """Prints lines. If a line has begun, they go below it."""
        self.end()
        self._write(text if text.endswith("\n") else text + "\n")

    def show(self, line: str, *, typed: bool = False) -> None:
        """Makes `line` the line that has begun. `typed` if only what was just typed is new in it."""
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
        self._line = line  # only after drawing succeeded

    def end(self, *, typed: bool = False) -> None:
        """Ends the line, if one has begun. `typed` if a typed key ends it."""
        if self._line is not None and not (typed and not self._echo):
            self._write("\n")
        self._line = None


def _drawn(text: str) -> str:
    return f"\n{INDENT}".join(visible(line) for line in text.split("\n"))


def _width(text: str) -> int:
    return sum(terminal_width.width(cluster) for cluster in graphemes.iterate(visible(text)))


def _is_certain(text: str) -> bool:
    """Whether every terminal draws a text with the width that we expect."""
    return not any(
        terminal_width.doubtful(terminal_width.drawn(cluster)) for cluster in graphemes.iterate(visible(text))
    )


def _on_one_row(line: str, kept: int) -> bool:
    """Whether everything after the first `kept` characters of a line is on the cursor's row."""
    if "\n" in line[kept:]:
        return False
    columns = shutil.get_terminal_size().columns
    row = line.rpartition("\n")[2]
    return len(PROMPT) + _width(row) < columns
