"""How many rows a line fills, against what prompt_toolkit draws."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.layout.screen import Char

from charrepl.terminal import terminal_width
from charrepl.terminal.line_rows import rows_filled


@given(
    st.text("ab 日é\u0301🙂א\x07\x9b\u200d\u200e👨❤\ufe0f", max_size=60),
    st.integers(4, 30),
    st.integers(0, 3),
)
def test_rows_are_counted_as_they_are_drawn(text: str, width: int, start: int) -> None:
    rows, column = 1, start  # as Window._copy_body goes
    drawn = [char for _, part, *_ in terminal_width.drawable([("", text)]) for char in part]
    assert len(drawn) == len(text)
    for char in drawn:
        size = Char(char).width
        if column + size > width:
            rows, column = rows + 1, 0
        column += size
    assert rows_filled(drawn, width, start=start) == rows


@given(st.text("ab c", max_size=60), st.integers(4, 30), st.integers(0, 3))
def test_plain_text_is_counted_as_any_other(text: str, width: int, start: int) -> None:
    with_accent = text + "\u0301"  # no wider, but not plain
    assert rows_filled(text, width, start=start) == rows_filled(with_accent, width, start=start)
