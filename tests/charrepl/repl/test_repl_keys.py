"""The prompt with keys of one's own, and in the colours it is told to use."""

from __future__ import annotations

import re

import pytest

from charrepl.terminal.colours import GREY
from tests.charrepl.prompt import CTRL_C, CTRL_D, CTRL_R, END, ESC, UNDO, Bench, shows, typed

OWN_KEYS = """
[keys]
take = "F2"
take_word = ["Tab", "Ctrl-T"]
enter = ["Enter", "F9"]
dismiss = "Ctrl-G"
next_alternative = []
undo = "Alt-U"
search = "F3"
kill-line = "F4"
quit = "Ctrl-X"
"""
F2, F3, F4, F9 = "\x1bOQ", "\x1bOR", "\x1bOS", "\x1b[20~"


def test_every_action_takes_the_keys_it_is_given_and_loses_its_own(live: Bench) -> None:
    live.configure(OWN_KEYS)
    with live.start(rows=40) as screen:
        screen.wait_for(shows("ROMEO:↵")).type("ROMEO:" + END + F9)
        screen.wait_for(shows("Is the day so young?↵")).type(F2)
        screen.wait_for("> Is the day so young?\n").type(CTRL_C + "\t")
        screen.wait_for(typed("Is ")).type("\x14")
        screen.wait_for(typed("Is the ")).type(UNDO + "\x1bu")
        screen.wait_for(typed("Is ")).type("\x1b[1;5B" + "\x07")  # Ctrl-Down does nothing, Ctrl-G hides
        screen.wait_for(lambda s: s.ghost == "" and s.before_cursor == "Is ").type("\x01" + F4)
        screen.wait_for(typed("")).type(CTRL_R + "x")  # no search: the x is typed
        screen.wait_for(typed("x")).type(CTRL_C + F3 + "ROM\r")
        screen.wait_for("> ROMEO:\n> ROMEO:\n").type(CTRL_C + "/help keys\r")
        screen.wait_for("F4                    kill line")
        for line in ("F2                    take the ghost", "Tab Ctrl-T            take its next word"):
            assert line in screen.text
        assert "another ghost" not in screen.text
        screen.type(CTRL_D + "still here")
        screen.wait_for(typed("still here")).type(CTRL_C + "\x18")
        assert screen.wait_for_exit() == 0


@pytest.mark.parametrize(
    ("colors", "background", "sent", "colour"),
    [
        ("none", "light", rb"\x1b\[0;2;3m", "default"),
        ("16", "dark", rb"\x1b\[0;2;3m", "default"),
        ("256", "dark", rb"\x1b\[0;38;5;245;3m", GREY["dark"][1:]),
        ("256", "light", rb"\x1b\[0;38;5;242;3m", GREY["light"][1:]),
        ("true", "light", rb"\x1b\[0;38;2;108;108;108;3m", GREY["light"][1:]),
    ],
)
def test_the_ghost_is_slanted_and_faint_or_grey(
    live: Bench, colors: str, background: str, sent: bytes, colour: str
) -> None:
    live.configure(f'colors = "{colors}"\nbackground = "{background}"\n')
    with live.start() as screen:
        screen.type("Is")
        screen.wait_for(shows(" the day so young?↵"))
        typed_cell, ghost_cell = screen.cell(0, 3), screen.cell(0, 5)
        assert (typed_cell.fg, typed_cell.italics, typed_cell.blink) == ("default", False, False)
        assert (ghost_cell.fg, ghost_cell.italics) == (colour, True)
        assert ghost_cell.blink  # faint or grey, see screen.py
        assert re.search(sent, screen.written)
        if colors in ("none", "16"):
            assert not re.search(rb"\x1b\[[0-9;]*[34]8;[25]", screen.written)


def test_the_background_can_be_changed_while_one_types(live: Bench) -> None:
    with live.repl() as screen:
        screen.wait_for(lambda s: s.cell(0, 2).fg == GREY["dark"][1:])
        screen.type("/set background light\r")
        screen.wait_for(lambda s: s.cell(s.cursor[1], 2).fg == GREY["light"][1:])
        screen.type("/set plain always\r")
        screen.wait_for("plain is chosen at the start").type("/set colors none\r" + ESC)
        screen.wait_for(lambda s: s.cell(s.cursor[1], 2).fg == "default" and s.ghost == "ROMEO:↵")
