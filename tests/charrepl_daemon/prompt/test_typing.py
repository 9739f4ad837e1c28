"""The whole path as a writer has it: `charrepl` in a terminal, its own daemon, a real small model."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from charrepl_daemon.lifecycle import control
from tests.charrepl.screen import Screen
from tests.charrepl_daemon.halting import halt

CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]
BACKSPACE, ALT_F = "\x7f", "\x1bf"


@pytest.fixture
def prompt(home):
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text('assertiveness = "bold"\n')
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with Screen(CHARREPL, env={**env, "TERM": "xterm-256color"}) as screen:
        yield screen.wait_for(">")  # what is typed before it is there, the terminal itself echoes


def ghost_begins(text: str):
    return lambda screen: screen.ghost.startswith(text)


def shows(line: str):
    return lambda screen: screen.before_cursor == line


def test_it_starts_a_daemon_and_finishes_the_line(prompt):
    prompt.type("The kettle si")  # at once: keys work while the daemon is starting
    prompt.wait_for(shows("The kettle si")).wait_for(ghost_begins("ngs, "))
    assert control.running() is not None
    prompt.type("n")
    prompt.wait_for(shows("The kettle sin")).wait_for(ghost_begins("gs, "))
    prompt.type(BACKSPACE)
    prompt.wait_for(shows("The kettle si")).wait_for(ghost_begins("ngs, "))
    prompt.type(ALT_F)
    prompt.wait_for(shows("The kettle sings, ")).wait_for(ghost_begins("the"))
    before = prompt.cursor
    prompt.type("\t")  # all of it; there may be more by now
    prompt.wait_for(lambda screen: screen.cursor != before)
    assert prompt.text.startswith("> The kettle sings, the")
    prompt.wait_for("> The kettle sings, the kitchen")  # typed or still a ghost


def test_a_daemon_that_hangs_or_is_killed_costs_no_key_and_the_ghost_comes_back(prompt):
    prompt.type("the road ")
    prompt.wait_for(lambda screen: screen.ghost)
    first = control.running()
    assert first is not None
    halt(first.pid)
    for count in range(1, 6):
        prompt.type("/")
        prompt.wait_for(shows("the road " + "/" * count))
    prompt.wait_for("the daemon is slow to answer")
    os.kill(first.pid, signal.SIGCONT)
    prompt.type(BACKSPACE * 5 + "is lon")
    prompt.wait_for(shows("the road is lon")).wait_for(ghost_begins("g"))
    prompt.type(BACKSPACE * 6)
    prompt.wait_for(shows("the road "))
    os.kill(first.pid, signal.SIGKILL)
    for char in "/ every cup is wa":  # away from the ghost, which needs no daemon to be typed through
        prompt.type(char)
    prompt.wait_for(shows("the road / every cup is wa")).wait_for(ghost_begins("rm"))
    second = control.running()
    assert second is not None
    assert second.pid != first.pid


def test_a_daemon_that_was_stopped_stays_so_until_the_next_key(prompt, daemon_command):
    prompt.wait_for("kettle · CPU")
    assert daemon_command("stop").returncode == 0
    prompt.wait_for("the daemon has ended")
    assert control.running() is None
    prompt.type("every cup is wa")
    prompt.wait_for(ghost_begins("rm"))


def test_ctrl_d_leaves_and_the_daemon_stays_for_the_next_one(prompt):
    prompt.wait_for("kettle · CPU")
    prompt.type("\x04")
    assert prompt.wait_for_exit() == 0
    assert control.running() is not None
