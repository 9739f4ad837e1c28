"""Other ghosts than the likeliest, and how sure a ghost is, at the prompt."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.charrepl.prompt import (
    BACKSPACE,
    CTRL_C,
    CTRL_DOWN,
    CTRL_UP,
    ESC,
    SHIFT_RIGHT,
    UNDO,
    Bench,
    shows,
    typed,
)
from tests.charrepl.scripted_daemon import answer, continuing, hung, offering

WAYS = offering("MEO:\n", "SALIND:\n", "DERIGO:\n", "GET\n", otherwise=continuing())


@pytest.fixture
def choosing(live: Bench) -> Bench:
    live.daemon.script = WAYS
    return live


def place(mark: str, ghost: str):
    return lambda screen: screen.lines[0] == f"> RO{ghost} ({mark})"


@pytest.mark.parametrize("key", [CTRL_DOWN, "\x1b]"])
def test_alternatives_are_asked_for_once_and_cycled_through(choosing: Bench, key: str) -> None:
    with choosing.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵"))
        before = len(choosing.daemon.requests)
        screen.type(key)
        screen.wait_for(place("2/4", "SALIND:↵")).type(key)
        screen.wait_for(place("3/4", "DERIGO:↵")).type(key + key)
        screen.wait_for(place("1/4", "MEO:↵")).type(CTRL_UP)
        screen.wait_for(place("4/4", "GET↵"))
        assert [request.alternatives for request in choosing.daemon.requests[before:]] == [4]


def test_an_alternative_is_typed_through_taken_and_undone_in_one_step(choosing: Bench) -> None:
    with choosing.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(CTRL_DOWN)
        screen.wait_for(place("2/4", "SALIND:↵"))
        asked = len(choosing.daemon.requests)
        screen.type("S")
        screen.wait_for(lambda s: s.lines[0] == "> ROSALIND:↵" and s.before_cursor == "ROS")
        screen.type(SHIFT_RIGHT)
        screen.wait_for(lambda s: s.lines[0] == "> ROSALIND:↵" and s.before_cursor == "ROSA")
        assert len(choosing.daemon.requests) == asked
        screen.type("\t")
        screen.wait_for(lambda s: s.lines[0] == "> ROSALIND:" and s.cursor == (2, 1)).type(UNDO)
        screen.wait_for(lambda s: s.lines[0] == "> ROSALIND:↵" and s.before_cursor == "ROSA").type(UNDO)
        screen.wait_for(typed("ROS")).type(BACKSPACE)
        screen.wait_for(place("2/4", "SALIND:↵"))


def test_a_key_off_the_alternative_shows_what_the_model_thinks_again(choosing: Bench) -> None:
    with choosing.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(CTRL_DOWN)
        screen.wait_for(place("2/4", "SALIND:↵")).type("M")
        screen.wait_for(lambda s: s.lines[0] == "> ROMEO:↵" and s.before_cursor == "ROM")


def test_escape_hides_an_alternative_and_the_next_one_shows_again(choosing: Bench) -> None:
    with choosing.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(CTRL_DOWN)
        screen.wait_for(place("2/4", "SALIND:↵")).type(ESC)
        screen.wait_for(lambda s: s.lines[0] == "> RO").type(CTRL_DOWN)
        screen.wait_for(place("3/4", "DERIGO:↵"))


def test_where_no_ghost_is_sure_enough_the_key_asks_for_one(live: Bench) -> None:
    live.daemon.script = offering(
        "MEO:\n", "SALIND:\n", otherwise=lambda request: iter([answer(request, "")])
    )
    with live.repl() as screen:
        screen.type("RO")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "RO").type(CTRL_DOWN)
        screen.wait_for(place("1/2", "MEO:↵"))


def test_a_daemon_that_hangs_on_alternatives_costs_nothing(live: Bench) -> None:
    ghosts = continuing()
    live.daemon.script = lambda request: (hung if request.alternatives > 1 else ghosts)(request)
    with live.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(CTRL_DOWN * 3 + "M")
        screen.wait_for(lambda s: s.before_cursor == "ROM" and s.ghost == "EO:↵").type(CTRL_C)
        screen.wait_for(shows("ROMEO:↵"))


def test_what_is_less_sure_is_drawn_apart_without_colour(live: Bench) -> None:
    live.env["NO_COLOR"] = "1"
    log_probs = [-0.1] * 9 + [-0.001] * 5
    ghost = "a fool\nand so\n"
    live.daemon.script = lambda request: iter([replace(answer(request, ghost), log_probs=log_probs)])
    with live.repl() as screen:
        # Six characters at exp(-0.1) are right with 0.55, seven with 0.497.
        screen.wait_for(shows("a fool\nand so↵"))
        assert [screen.drawn(row, "italics") for row in (0, 1)] == ["a fool", ""]
        screen.type("a ")
        screen.wait_for(lambda s: s.ghost == "fool\nand so↵" and s.drawn(1, "italics").strip() == "a")


def test_a_ghost_cut_by_the_screen_keeps_within_it_with_its_mark(live: Bench) -> None:
    live.daemon.script = offering("x" * 48, "y" * 48, otherwise=continuing())
    with live.repl(columns=20, rows=5, ready="shakespeare") as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(CTRL_DOWN)
        screen.wait_for(lambda s: s.text.replace("\n", "").startswith("> RO" + "y" * 33) and "…" in s.text)
