"""Wraps messages for a terminal between words. Commands stay whole, so that you can copy them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import TextIO

from charrepl.terminal.early_prompt import is_dumb

# A quoted argument of a command is one word, whatever is in it.
_WORD = re.compile(r"""'(?:[^']|'"'"')*'\S*|\S+""")
_PROGRAM = re.compile(r"\(?(charrepl(-train|-daemon)?|iconv|printf|systemctl)")


def can_draw(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether the stream is a terminal on which the cursor can be moved.

    A log is not, whatever FORCE_COLOR, TTY_COMPATIBLE and similar variables say: those are about colours.
    """
    return not is_dumb(environ) and environ.get("TTY_INTERACTIVE") != "0" and is_terminal(stream)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal of any kind."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def terminal_size(descriptor: int | None) -> tuple[int, int]:
    """Columns and lines of a terminal, as it says itself; from the environment only if it does not say."""
    columns = lines = 0
    if descriptor is not None:
        with contextlib.suppress(OSError):
            columns, lines = os.get_terminal_size(descriptor)
    # Some do not know, such as serial lines. COLUMNS may be about another terminal.
    return columns or _number("COLUMNS") or 80, lines or _number("LINES") or 24


def _number(variable: str) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isascii() and value.isdigit() else 0


def wrapped(text: str, columns: int) -> str:
    """A message as lines of whole words and whole commands. A longer word is left to the terminal to wrap."""
    if len(text) <= columns and text.isascii():
        return text
    return "\n".join(_wrapped_line(line, columns) for line in text.split("\n"))


def _wrapped_line(text: str, columns: int) -> str:
    from wcwidth import width  # few messages are so long

    lines: list[str] = []
    begins = 0
    for start, end in _parts(text):
        if lines and width(text[begins:end]) <= columns:
            lines[-1] = text[begins:end]
        else:
            begins = 0 if not lines else start
            lines.append(text[begins:end])
    return "\n".join(lines)


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """The places of words, and of what may be commands: from a program's name to the end of the clause."""
    begins: int | None = None
    end = 0
    for word in _WORD.finditer(text):
        start, end = word.span()
        if begins is None and _PROGRAM.fullmatch(word[0]):
            begins = start
        if begins is None:
            yield start, end
        elif word[0][-1] in ",;:.)":
            yield begins, end
            begins = None
    if begins is not None:
        yield begins, end
