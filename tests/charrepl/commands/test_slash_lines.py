"""Lines that begin with a slash: which are commands, and what text the others stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.commands.slash_lines import as_typed, begins_command, literal


@given(st.lists(st.sampled_from(["/", "//", "help", "quit", "a", " ", "\n", "é"]), max_size=6).map("".join))
def test_a_line_that_stands_for_a_text_is_read_as_it(text: str) -> None:
    assert literal(as_typed(text)) == text


@pytest.mark.parametrize("line", ["/help", "/quit ", "/q", "/?", "/save! x", "/set adapt off", "/help\n"])
def test_what_names_a_command_is_one(line: str) -> None:
    assert literal(line) is None
    assert literal("/" + line) == line
    assert begins_command(line)


@pytest.mark.parametrize(
    "line",
    [
        "/usr/lib/x: not found",
        "/* a comment */",
        "/hlep",
        "/",
        "/ help",
        "/Help",
        "/help\nand more",
        "/help\tme",
    ],
)
def test_what_names_none_is_text_as_it_is(line: str) -> None:
    assert literal(line) == line == as_typed(line)


@pytest.mark.parametrize(
    ("line", "may"), [("/", True), ("/he", True), ("/hx", False), ("/he ", False), ("he", False)]
)
def test_a_line_may_become_a_command(line: str, may: bool) -> None:
    assert begins_command(line) == may
