"""What is drawn, without a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.repl.rendering import committed, ghost_lines
from charrepl.terminal import terminal_width
from charrepl.text import graphemes
from charrepl.text.control_characters import visible
from tests.charrepl.grapheme_samples import texts


@given(st.text())
def test_nothing_a_terminal_obeys_or_reorders_is_drawn(text: str) -> None:
    for char in visible(text):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI")


@pytest.mark.parametrize(
    ("rest", "drawn"),
    [
        ("", []),
        ("abc", ["abc"]),
        ("abc\n", ["abc↵"]),
        ("\n", ["↵"]),
        ("\nabc", ["", "abc"]),
        ("a\n\nb\n", ["a", "", "b↵"]),
        ("a\tb\x1b", ["a    b␛"]),
        ("x" * 45, ["x" * 39 + "…"]),
        ("a\nb\nc\nd\ne", ["a", "b", "c", "d…"]),
        ("日" * 21, ["日" * 19 + "…"]),
        ("\na\nb\nc\nd", ["", "a", "b", "c…"]),
    ],
)
def test_a_ghost_as_lines(rest: str, drawn: list[str]) -> None:
    assert ghost_lines(rest, columns=10, rows=4) == drawn


@given(texts | st.text(alphabet="ab日é\n ", max_size=80), st.integers(4, 20), st.integers(1, 5))
def test_a_ghost_never_fills_more_rows_than_it_may(rest: str, columns: int, rows: int) -> None:
    used = 0
    for number, line in enumerate(ghost_lines(rest, columns=columns, rows=rows)):
        used, column = used + 1, 2 if number else 0
        for cluster in graphemes.clusters(line):
            if column + terminal_width.width(cluster) > columns:
                used, column = used + 1, 0
            column += terminal_width.width(cluster)
    assert used <= rows


@pytest.mark.parametrize(("line", "drawn"), [("", "> \n"), ("  ", "> \n"), ("\ntwo", "> \n  two\n")])
def test_a_committed_line_that_is_blank_ends_too(line: str, drawn: str) -> None:
    assert "".join(text for _, text, *_ in committed(line)) == drawn


def test_a_committed_text_of_several_lines_is_indented_and_ends_once() -> None:
    assert "".join(text for _, text, *_ in committed("one\ntwo\n")) == "> one\n  two\n"
