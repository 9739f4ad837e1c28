"""Shells with the real daemon, from the first key to the line that runs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from charrepl_daemon.lifecycle import control
from tests.charrepl.screen import Screen
from tests.charrepl.shells.shell import ALT_SEMICOLON, CTRL_U, END, at_prompt, start
from tests.soak.watching import descriptors

# What the model has learnt by heart, as a command.
TYPED, WHOLE = "The kettle sings, the kitchen fills with steam, and every cup is wa", "and every cup is warm"
COMMAND = {
    "zsh": "The() { print ran: $# }",
    "bash": "The() { echo ran: $#; }",
    "fish": "function The; echo ran: (count $argv); end",
}
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")


def zsh(home: Path) -> Screen:
    return start("zsh", home, os.environ, before=COMMAND["zsh"])


def offered(screen: Screen) -> bool:
    """Types the line anew until the ghost is there: a daemon that comes back needs a while."""
    screen.send(CTRL_U + TYPED[:-1])
    screen.wait_for(lambda screen: screen.text.endswith(TYPED[:-1]) or WHOLE in screen.text)
    screen.send(TYPED[-1])
    screen.take_in(1.0)
    return WHOLE in screen.text


def until_offered(screen: Screen) -> None:
    assert any(offered(screen) for _ in range(30)), screen.text


@needs_zsh
def test_zsh_shows_a_ghost_that_is_taken_and_the_line_runs(daemon, home):
    with zsh(home) as screen:
        until_offered(screen)
        assert screen.ghost.startswith("rm")
        screen.send(END + "\r")
        screen.wait_for("ran:")


@needs_zsh
def test_zsh_starts_a_daemon_and_another_when_it_has_died_while_somebody_typed(home):
    with zsh(home) as screen:
        until_offered(screen)  # zsh has started one
        found = control.running()
        assert found is not None
        screen.send(CTRL_U + "The end")
        os.kill(found.pid, signal.SIGKILL)
        screen.send(" comes\r")
        screen.wait_for("ran: 2")  # nobody had to wait for it
        until_offered(screen)
        again = control.running()
        assert again is not None and again.pid != found.pid


@needs_zsh
def test_a_storm_of_forks_leaves_no_descriptors(daemon, home):
    with zsh(home) as screen:
        until_offered(screen)
        found = control.running()
        assert found is not None
        screen.send(CTRL_U)
        before = descriptors(found.pid)
        for _ in range(3):
            for key in "for n in {1..50}; do sleep 20 &|; done":
                screen.send(key)
                screen.take_in(0.01)
            screen.send("\r")
            screen.wait_for(at_prompt)
        until_offered(screen)
        screen.send(CTRL_U)
        deadline = time.monotonic() + 20  # before the last of them ends
        while descriptors(found.pid) > before + 1:
            assert time.monotonic() < deadline
            screen.take_in(0.05)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_the_key_writes_the_ghost(daemon, home, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    with start(shell, home, os.environ, before=COMMAND[shell]) as screen:
        screen.send(TYPED)
        screen.wait_for(lambda screen: TYPED in screen.text)
        for _ in range(10):
            screen.send(ALT_SEMICOLON)
            screen.take_in(2.0)
            if WHOLE in screen.text:
                break
        screen.send("\r")
        screen.wait_for("ran:")
