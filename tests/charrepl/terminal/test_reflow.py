"""Which row a prompt begins in once a terminal has wrapped it, without a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.data_structures import Point

from charrepl.terminal.reflow import joined, joins, reflows, row_of, rows_above


@pytest.mark.parametrize(
    ("cells", "columns", "column", "row"),
    [
        ([], 10, 0, 0),
        ([1] * 25, 10, 9, 0),
        ([1] * 25, 10, 10, 1),
        ([1] * 25, 10, 24, 2),
        ([1] * 20, 10, 20, 1),  # behind its end, which fills a row
        ([1] * 5, 10, 12, 0),  # behind blanks that were not drawn
        ([2] * 10, 5, 4, 1),  # two wide ones a row, and a column left empty
        ([1, 2, 2, 2], 3, 3, 1),
    ],
)
def test_a_column_stands_in_the_row_that_it_is_wrapped_to(
    cells: list[int], columns: int, column: int, row: int
) -> None:
    assert row_of(cells, columns, column) == row


@given(
    st.lists(st.lists(st.sampled_from([1, 1, 2]), max_size=30), min_size=1, max_size=4), st.integers(2, 40)
)
def test_where_everything_fits_as_many_rows_are_above_as_were_drawn(
    lines: list[list[int]], columns: int
) -> None:
    cursor = Point(x=sum(lines[-1]), y=len(lines) - 1)
    above = rows_above(lines, cursor, columns)
    assert above >= cursor.y
    if all(sum(cells) <= columns for cells in lines):
        assert above == cursor.y


def test_rows_that_are_full_are_joined_where_the_terminal_would() -> None:
    lines = [[1] * 10, [1] * 9, [1] * 3, [1] * 2]
    assert joined(lines, Point(x=3, y=2), 10) == ([[1] * 22, [1] * 2], Point(x=22, y=0))
    assert joined(lines, Point(x=1, y=3), 10) == ([[1] * 22, [1] * 2], Point(x=1, y=1))
    assert joins({"TERM": "screen.xterm-256color", "STY": "1.pts"})
    assert not joins({"TERM": "screen-256color", "TMUX": "/tmp/tmux"})


def test_only_terminals_that_are_known_to_wrap_are_taken_to() -> None:
    assert not reflows({"TERM": "xterm-256color"})
    assert not reflows({"TERM": "linux"})
    assert reflows({"TERM": "xterm-256color", "VTE_VERSION": "7600"})
    assert reflows({"TERM": "tmux-256color"})
    assert reflows({"TERM": "screen"})
