"""How messages are wrapped on a terminal, and what is one."""

from __future__ import annotations

import io
import os
import sys

import pytest

from charrepl.terminal.word_wrap import can_draw, wrapped
from tests.charrepl.screen import Screen

FORCED = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_whose_cursor_moves_is_drawn_on() -> None:
    terminal = Terminal()
    for name in ("", "dumb", "unknown"):
        assert not can_draw(terminal, {"TERM": name, **FORCED})
    assert not can_draw(terminal, {})
    assert not can_draw(None, {"TERM": "xterm"})
    assert not can_draw(io.StringIO(), {"TERM": "xterm", **FORCED})
    assert can_draw(terminal, {"TERM": "xterm"})
    assert not can_draw(terminal, {"TERM": "xterm", "TTY_INTERACTIVE": "0"})
    terminal.close()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("a message of several words", ["a message of several", "words"]),
        ("a word/that/is/longer/than/a/line", ["a", "word/that/is/longer/than/a/line"]),
        (
            "is not UTF-8: run iconv -f X -t Y '/my, own.txt' > y, or give another",
            ["is not UTF-8: run", "iconv -f X -t Y '/my, own.txt' > y,", "or give another"],
        ),
        (
            "none (charrepl-daemon start begins one): go on",
            ["none", "(charrepl-daemon start begins one):", "go on"],
        ),
        ("the model's own words aren't quoted", ["the model's own", "words aren't quoted"]),
        ("it's 中中中中中中中 中中", ["it's 中中中中中中中", "中中"]),
        ("charrepl --model a", ["charrepl --model a"]),
        ("loss 1.2  dev loss 1.5  fast", ["loss 1.2  dev loss", "1.5  fast"]),
    ],
)
def test_a_message_wraps_between_words_and_a_command_not_at_all(text: str, lines: list[str]) -> None:
    assert wrapped(text, 20).split("\n") == lines


def test_what_a_failure_says_wraps_on_a_terminal() -> None:
    command = [sys.executable, "-m", "charrepl", "score", "/no/such/file"]
    with Screen(command, env={**os.environ, "TERM": "xterm"}, columns=30, rows=8) as screen:
        screen.wait_for_exit()
        assert screen.lines == ["Error: /no/such/file does not", "exist: name a text file"]
