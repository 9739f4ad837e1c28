"""What people see as one character at the prompt, in terminals that draw it as wide as they please."""

from __future__ import annotations

import random

import pytest
from wcwidth import wcwidth

from charrepl.text import graphemes
from tests.charrepl.grapheme_samples import CLUSTERS, FAMILY, FLAG, HEART, INVISIBLE, PARTS, THUMB
from tests.charrepl.prompt import BACKSPACE, CTRL_C, LEFT, READY, SHIFT_RIGHT, Bench
from tests.charrepl.screen import Emulator, Screen
from tests.charrepl.scripted_daemon import continuing

CTRL_L, DELETE, HOME = "\x0c", "\x1b[3~", "\x01"


class Apart(Emulator):
    """A terminal that draws each character by itself: a family has six columns, a flag four."""

    def draw(self, data: str) -> None:
        super().draw("".join(char for char in data if wcwidth(char) > 0))


class Narrow(Emulator):
    """A terminal that draws whatever follows the first character in no columns at all."""

    def draw(self, data: str) -> None:
        super().draw("".join(cluster[0] for cluster in graphemes.clusters(data)))


@pytest.fixture(params=[Apart, Narrow])
def emulator(request: pytest.FixtureRequest) -> type[Emulator]:
    found: type[Emulator] = request.param
    return found


def seen(screen: Screen) -> tuple[list[str], tuple[int, int]]:
    """What is on the screen above the toolbar, and where the cursor is."""
    return [row for row in screen.lines if row and "·" not in row], screen.cursor


def test_what_is_deleted_leaves_and_a_ghost_is_drawn_once(live: Bench, emulator: type[Emulator]) -> None:
    live.daemon.script = continuing(f"{FAMILY}{FLAG} {THUMB}{HEART} et voil\u00e0\n")
    with Screen(live.command(), env=live.env, emulator=emulator) as screen:
        screen.wait_for(READY).wait_for("voil\u00e0\u21b5")
        assert screen.text.count("voil") == 1
        with_ghost = seen(screen)
        screen.type(SHIFT_RIGHT * 2)  # the family, and the flag
        screen.wait_for(lambda s: s.cursor == (6, 0) and s.text.count("voil") == 1)
        screen.type(BACKSPACE * 2)
        screen.wait_for(lambda s: seen(s) == with_ghost)
        for cluster in (FAMILY, FLAG, THUMB, HEART, "\u0915\u094d\u0937\u093f"):
            screen.type(CTRL_C + "no " + cluster * 3)
            screen.wait_for(lambda s: s.cursor[0] > 5 and "voil" not in s.text)
            for _ in range(3):
                screen.type(BACKSPACE)
            screen.wait_for(lambda s: s.lines[0] == "> no" and s.cursor == (5, 0))
        screen.type(CTRL_C)
        screen.wait_for(lambda s: seen(s) == with_ghost)


def test_whatever_is_typed_the_screen_is_as_if_drawn_anew(live: Bench, emulator: type[Emulator]) -> None:
    live.daemon.script = continuing(f" {FLAG}{FAMILY}a\u0301{THUMB} b {HEART}\u200e.\n")
    source = random.Random(21)
    with Screen(live.command(), env=live.env, columns=40, emulator=emulator) as screen:
        screen.wait_for(READY).wait_for("\u21b5")
        for turn in range(8):
            keys = [*CLUSTERS, *INVISIBLE[:4], *PARTS[:3], BACKSPACE, LEFT, DELETE, SHIFT_RIGHT, HOME, "\x05"]
            for _ in range(3):
                screen.type("".join(source.choices(keys, k=4)))
                screen.take_in(0.02)
            mark = f"~{turn}"
            screen.type("\x05" + mark)  # at the end of the line, or past the ghost
            screen.wait_for(lambda s, mark=mark: mark in s.text)
            screen.take_in(0.2)
            drawn = seen(screen)
            screen.type(CTRL_L)
            screen.wait_for(lambda s, drawn=drawn: seen(s) == drawn)
            screen.type(CTRL_C)
            screen.wait_for(lambda s, mark=mark: mark not in s.text)


def test_invisible_marks_are_drawn_as_nothing_and_kept_in_the_text(live: Bench) -> None:
    line = "a" + "".join(INVISIBLE) + "b"
    with live.repl() as screen:
        screen.type(line)
        screen.wait_for(lambda s: s.before_cursor == "ab").type("\r")
        screen.wait_for("> ab\n>")
        assert not any(mark.encode() in screen.written for mark in INVISIBLE)
        screen.type(f"/save {live.place}/kept\r")
        screen.wait_for(lambda s: (live.place / "kept").exists())
    assert (live.place / "kept").read_text() == line + "\n"


def test_a_ghost_that_begins_with_a_mark_leaves_the_letter_before_it_as_it_is(live: Bench) -> None:
    live.daemon.script = continuing("cafe\u0301s\n")
    with live.repl() as screen:
        screen.type("cafe")
        screen.wait_for(lambda s: s.cursor == (6, 0) and s.lines[0] == "> cafe\u25cc\u0301s\u21b5")
        screen.type(SHIFT_RIGHT)
        screen.wait_for(lambda s: s.cursor == (6, 0) and s.lines[0] == "> caf\u00e9s\u21b5")
