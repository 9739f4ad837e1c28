"""What is sent of a frame, without a terminal."""

from __future__ import annotations

import pyte
from hypothesis import given
from hypothesis import strategies as st

from charrepl.terminal.terminal_output import HIDE_CURSOR, NO_WRAP, SHOW_CURSOR, WRAP, SentState

RESET, DIM = "\x1b[0m", "\x1b[0;2;3m"


def frame(*drawn: str) -> list[str]:
    """As prompt_toolkit makes one."""
    return [HIDE_CURSOR, NO_WRAP, *drawn, WRAP, RESET, SHOW_CURSOR]


def test_a_character_at_the_cursor_is_all_that_is_sent_but_for_wrapping() -> None:
    told = SentState()
    told.news(frame("x"))
    assert told.news(frame(RESET, "a")) == NO_WRAP + "a" + WRAP


def test_a_cursor_that_only_moves_is_all_that_is_sent() -> None:
    told = SentState()
    told.news(frame("x"))
    assert told.news(frame("\x1b[3D")) == "\x1b[3D"
    assert told.news(frame()) == ""


def test_a_cursor_that_draws_elsewhere_and_comes_back_is_hidden_meanwhile() -> None:
    told = SentState()
    told.news(frame("x"))
    sent = told.news(frame("\r\n", DIM, "5 ms", "\x1b[A", "\x1b[2D"))
    assert sent.startswith(HIDE_CURSOR)
    assert sent.index("\x1b[2D") < sent.index(SHOW_CURSOR)
    assert told.news([HIDE_CURSOR]) == HIDE_CURSOR  # for good


def test_after_others_have_drawn_nothing_is_relied_on() -> None:
    told = SentState()
    told.news(frame("x"))
    told.forget()
    assert told.news(frame("a")) == NO_WRAP + "a" + WRAP + RESET


TEXTS = ["a", "b ", "日"]
LOOKS = [RESET, DIM, "\x1b[0;1m"]
MOVES = ["\r", "\r\n", "\b", "\x1b[C", "\x1b[2A", "\x1b[3D"]
ITEMS = st.sampled_from([*TEXTS, *LOOKS, *MOVES, "\x1b[K", "\x1b[J"])


@given(st.lists(st.lists(ITEMS, max_size=12), max_size=6))
def test_the_screen_is_the_same_as_if_all_had_been_sent(frames: list[list[str]]) -> None:
    told, screens = SentState(), (pyte.Screen(12, 6), pyte.Screen(12, 6))
    streams = [pyte.Stream(screen) for screen in screens]
    for drawn in frames:
        whole = frame(*drawn)
        streams[0].feed("".join(whole))
        streams[1].feed(told.news(whole))
        one, other = screens
        assert one.buffer == other.buffer
        assert (one.cursor.x, one.cursor.y, one.cursor.hidden) == (
            other.cursor.x,
            other.cursor.y,
            other.cursor.hidden,
        )
        assert one.cursor.attrs == other.cursor.attrs
        assert one.mode == other.mode
