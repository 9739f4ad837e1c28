"""The ghost at the prompt: what the keys make of it, and what is drawn."""

from __future__ import annotations

import re
import statistics

import pytest

from tests.charrepl.prompt import (
    ALT_RIGHT,
    BACKSPACE,
    CTRL_E,
    CTRL_F,
    CTRL_RIGHT,
    END,
    ESC,
    LEFT,
    RIGHT,
    SHIFT_RIGHT,
    SHIFT_TAB,
    UNDO,
    Bench,
    shows,
    typed,
)
from tests.charrepl.scripted_daemon import answer


@pytest.mark.parametrize("key", ["\t", RIGHT, END, CTRL_E, CTRL_F])
def test_a_key_takes_the_whole_ghost_and_undo_gives_it_back_in_one_step(live: Bench, key: str) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows("Is the day so young?↵")).type("Is ")
        screen.wait_for(shows("the day so young?↵")).type(key)
        screen.wait_for(lambda s: "> Is the day so young?" in s.text and s.ghost == "BENVOLIO:↵")
        screen.type(UNDO)
        screen.wait_for(lambda s: s.before_cursor == "Is " and s.ghost == "the day so young?↵")


@pytest.mark.parametrize(
    ("key", "line", "rest"),
    [
        ("\x1bf", "Is the ", "day so young?↵"),
        (ALT_RIGHT, "Is the ", "day so young?↵"),
        (CTRL_RIGHT, "Is the ", "day so young?↵"),
        (SHIFT_RIGHT, "Is t", "he day so young?↵"),
    ],
)
def test_a_key_takes_a_part_of_the_ghost(live: Bench, key: str, line: str, rest: str) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs ")
        screen.wait_for(shows("the day so young?↵")).type(key)
        screen.wait_for(lambda s: s.before_cursor == line and s.ghost == rest)


def test_shift_tab_takes_a_line_of_a_ghost_of_several(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "\none\ntwo")])
    with live.repl() as screen:
        screen.wait_for(shows("one\ntwo")).type(SHIFT_TAB)
        screen.wait_for(lambda s: s.lines[1:2] == ["  one"] and s.cursor == (2, 2))


def test_typing_through_a_ghost_asks_nothing_and_never_blanks_it(live: Bench) -> None:
    line = "Is the day so young?"
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows(line + "↵"))
        asked, frames = len(live.daemon.requests), len(screen.frames)
        for count in range(1, len(line) + 1):
            screen.type(line[count - 1])
            screen.wait_for(typed(line[:count]))
            assert screen.ghost == line[count:] + "↵"
        assert len(live.daemon.requests) == asked
        for frame in screen.frames[frames:]:
            assert f"> {line}↵" in frame


def test_enter_types_through_the_newline_of_a_ghost(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "ROMEO:\nIs the day so young?")])
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:\nIs the day so young?"))
        asked = len(live.daemon.requests)
        screen.type("ROMEO:\r")
        screen.wait_for(lambda s: "> ROMEO:\n>" in s.text and s.ghost == "Is the day so young?")
        assert len(live.daemon.requests) == asked


def test_backspace_restores_the_ghost_without_a_request(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type("x")
        screen.wait_for(shows("")).wait_for(lambda s: live.daemon.requests[-1].text == "ROx")
        asked = len(live.daemon.requests)
        screen.type(BACKSPACE)
        screen.wait_for(shows("MEO:↵"))
        assert len(live.daemon.requests) == asked


def test_escape_dismisses_the_ghost_until_the_text_leaves_it(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(ESC)
        screen.wait_for(shows("")).type("ME")
        screen.wait_for(typed("ROME"))
        assert screen.ghost == ""
        screen.type(BACKSPACE * 3)
        screen.wait_for(shows("OMEO:↵"))


def test_keys_keep_their_meaning_inside_the_line(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROME")
        screen.wait_for(shows("O:↵")).type(LEFT * 3)
        screen.wait_for(shows("")).type(RIGHT)
        screen.wait_for(typed("RO")).type(CTRL_E)
        screen.wait_for(lambda s: s.before_cursor == "ROME" and s.ghost == "O:↵")


def test_vi_mode_has_the_ghost_in_insert_mode_only(live: Bench) -> None:
    with live.repl(editing_mode="vi") as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(ESC)
        screen.wait_for(lambda s: s.ghost == "" and s.before_cursor == "R").type("A")
        screen.wait_for(lambda s: s.before_cursor == "RO" and s.ghost == "MEO:↵").type("\t")
        screen.wait_for("> ROMEO:")


def test_a_ghost_of_several_lines_is_drawn_below_and_leaves_nothing_behind(live: Bench) -> None:
    live.daemon.script = lambda request: iter(
        [answer(request, "\nfirst\nsecond" if not request.text else "")]
    )
    with live.repl() as screen:
        screen.wait_for(shows("first\nsecond"))
        screen.wait_for(lambda s: s.lines[:3] == [">", "  first", "  second"] and s.cursor == (2, 0))
        screen.type("x")
        screen.wait_for(lambda s: "second" not in s.text)


@pytest.mark.parametrize("columns", [20, 33])
def test_a_long_wide_ghost_wraps_within_the_screen_and_is_cut_with_a_mark(live: Bench, columns: int) -> None:
    live.daemon.script = lambda request: iter([answer(request, "日本語" * 40)])
    with live.repl(columns=columns, rows=6, ready="…") as screen:
        # pyte keeps an empty cell behind each wide character
        screen.wait_for(lambda s: re.fullmatch(r"[日本語\n]+…", s.ghost) and s.cursor == (2, 0))


def test_bytes_written_for_a_typed_through_character_are_few(live: Bench) -> None:
    line = "Is the day so young"
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows(line + "?↵"))
        amounts = []
        for count in range(1, len(line) + 1):
            before = len(screen.written)
            screen.type(line[count - 1])
            screen.wait_for(typed(line[:count]))
            amounts.append(len(screen.written) - before)
        assert statistics.median(amounts) <= 40, amounts  # now and then the toolbar changes as well
