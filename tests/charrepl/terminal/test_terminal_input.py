"""What is read from a terminal that does not mark pastes, cut anywhere."""

from __future__ import annotations

import asyncio
import os
import tty
from typing import Self

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prompt_toolkit.keys import Keys

from charrepl.terminal.terminal_input import GAP_S, LONG_CHARS, TerminalInput, is_paste

LINES = "".join(f"{number}\ta line of a book\r\n" for number in range(8))


class Terminal:
    """A terminal that does not mark pastes, and what is read of it; `with` closes it."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._stream = os.fdopen(slave, encoding="utf-8")
        self._input = TerminalInput(self._stream)
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()
        self._stream.close()
        os.close(self._master)

    def get(self, text: str, *, at_s: float) -> list[tuple[str, str]]:
        """The keys, and their text, of what comes in one read at that time."""

        async def pressed() -> list[tuple[str, str]]:
            return [(key.key, key.data) for key in self._input.read_keys()]

        os.write(self._master, text.encode())
        self._loop.time = lambda: 1000.0 + at_s  # type: ignore[method-assign]
        return self._loop.run_until_complete(pressed())


@given(st.sets(st.integers(1, len(LINES) - 1), max_size=3))
@settings(max_examples=150)
def test_a_paste_that_comes_in_parts_is_one_text(cuts: set[int]) -> None:
    ends = sorted({*cuts, LONG_CHARS + 20, len(LINES)})
    parts = [LINES[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    assume(is_paste(parts[0]) and not any(len(part) == 1 and part != "\n" for part in parts))
    with Terminal() as terminal:
        found = [key for n, part in enumerate(parts) for key in terminal.get(part, at_s=n * 0.9 * GAP_S)]
    assert {key for key, _ in found} == {Keys.BracketedPaste}
    text = "".join(text for _, text in found)
    assert text.replace("\r\n", "\n").replace("\r", "\n") == LINES.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("then", "at_s", "keys"),
    [
        ("\r", 0.5 * GAP_S, [(Keys.ControlM, "\r")]),
        ("ab", 1.1 * GAP_S, [("a", "a"), ("b", "b")]),
    ],
    ids=["an Enter at once", "two letters later"],
)
def test_what_is_typed_after_a_paste_is_typed(then: str, at_s: float, keys: list[tuple[str, str]]) -> None:
    with Terminal() as terminal:
        assert terminal.get("one\r\ntwo", at_s=0.0) == [(Keys.BracketedPaste, "one\r\ntwo")]
        assert terminal.get(then, at_s=at_s) == keys
