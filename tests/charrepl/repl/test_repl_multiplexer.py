"""The prompt in tmux and in GNU screen, as they are installed here."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.charrepl.grapheme_samples import FAMILY, FLAG, HEART, THUMB
from tests.charrepl.multiplexer import ABOVE, inside, tmux_history
from tests.charrepl.prompt import BACKSPACE, CTRL_C, CTRL_D, CTRL_E, ESC, LEFT, READY, Bench
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import continuing

# With the prompt, 15 rows of 5 columns: the cursor then stands on a row of its own.
LINE = "And so my lord the king is gone to the war in France, and then Is the day"


@pytest.fixture(params=["tmux", "screen"])
def multiplexer(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def test_the_ghost_keys_and_sizes_in_a_multiplexer(live: Bench, multiplexer: str) -> None:
    with inside(multiplexer, live) as screen:
        screen.wait_for(READY).type("ROMEO:\r")
        whole = ["> ROMEO:", "> Is the day so young?↵"]
        screen.wait_for(lambda s: s.lines[ABOVE : ABOVE + 2] == whole).type("Is ")
        screen.wait_for(lambda s: s.ghost == "the day so young?↵")

        screen.type("\x1bf")  # Alt-F, as a terminal sends it
        screen.wait_for(lambda s: s.before_cursor == "Is the " and s.ghost == "day so young?↵")
        screen.type(ESC)
        screen.wait_for(lambda s: s.lines[ABOVE + 1] == "> Is the").type("day so young? " + ESC + "f")
        screen.wait_for(lambda s: s.before_cursor == "Is the day so young? ")

        screen.type(CTRL_C + LINE)
        screen.wait_for(lambda s: s.before_cursor == LINE)
        for size in ((40, 24), (33, 20), (100, 30), (50, 24), (80, 24)):
            type_at(screen, size)
        screen.wait_for(lambda s: "> " + LINE in s.lines and s.before_cursor == LINE)
        if multiplexer == "tmux":  # the other one is too slow for sizes that follow so fast
            assert (screen.text.count("And so"), screen.text.count("ROMEO")) == (1, 1)
        for size in ((12, 20), (5, 3), (1, 1), (80, 24)):
            type_at(screen, size)
        screen.type(CTRL_C + CTRL_D)
        screen.wait_for_exit()


def type_at(screen: Screen, size: tuple[int, int]) -> None:
    """Resizes the terminal, and types there."""
    screen.resize(*size)
    if size != (1, 1):
        screen.wait_for(lambda s: ends_at_the_cursor(s, LINE[-3:])).type("x")
        screen.wait_for(lambda s: ends_at_the_cursor(s, "x")).type(BACKSPACE)


def ends_at_the_cursor(screen: Screen, tail: str) -> bool:
    """Whether the cells before the cursor, across rows, are `tail`."""
    x, y = screen.cursor
    before = "".join(screen.rows[: y + 1])[: y * len(screen.rows[0]) + x]
    return before.endswith(tail)


def test_nothing_that_was_erased_stays_in_the_history_of_tmux(live: Bench) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    with inside("tmux", live) as screen:
        screen.wait_for(READY).type("\x0c")  # Ctrl-L: the prompt is at the top of the screen
        screen.wait_for(lambda s: s.lines[:1] == ["> ROMEO:↵"]).type("ROM" + CTRL_C)
        screen.wait_for(lambda s: s.lines[:1] == ["> ROMEO:↵"] and s.before_cursor == "").type("ROMEO:\r")
        screen.wait_for(lambda s: s.lines[:2] == ["> ROMEO:", "> Is the day so young?↵"]).type("Is\r")
        screen.wait_for(lambda s: s.lines[:3] == ["> ROMEO:", "> Is", ">"])
        history = tmux_history(live.place)
        assert [line for line in history if line.startswith(">")] == ["> ROMEO:", "> Is", ">"]
        assert not [line for line in history if "↵" in line]
        screen.type(CTRL_D)
        screen.wait_for_exit()


def test_what_is_deleted_leaves_whatever_its_width(live: Bench) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    ghost = f"{FAMILY}{FLAG}{THUMB}{HEART} et voil\u00e0\n"
    live.daemon.script = continuing(ghost)

    def shows(line: str) -> Callable[[Screen], bool]:
        return lambda _: next(row for row in tmux_history(live.place) if row.startswith(">")) == f"> {line}"

    with inside("tmux", live) as screen:  # what tmux has of it, whatever the terminal around it makes of that
        whole = shows(f"{FAMILY}{FLAG}\U0001f44d{HEART}  et voil\u00e0\u21b5")  # the skin has no room
        screen.wait_for(READY).wait_for(whole)
        for cluster in (FAMILY, FLAG, "\u0915\u094d\u0937"):
            screen.type("no " + cluster * 3 + "x")
            screen.wait_for(shows("no " + cluster * 3 + "x")).type(LEFT + BACKSPACE)
            screen.wait_for(shows("no " + cluster * 2 + "x")).type(CTRL_E + BACKSPACE * 3)
            screen.wait_for(shows("no")).type(CTRL_C)
            screen.wait_for(whole)
        screen.type(CTRL_C + CTRL_D)
        screen.wait_for_exit()
