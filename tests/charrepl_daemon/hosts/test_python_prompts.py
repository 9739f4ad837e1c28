"""Ghosts in IPython, ptpython and xonsh, with the real daemon, from the first key to the line that runs."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from charrepl.suggestions.off_switch import OffSwitch
from charrepl_daemon.lifecycle import control
from tests.charrepl.prompt import CTRL_E, TERMINALS_OWN
from tests.charrepl.screen import Screen

CTRL_U, CTRL_D = "\x15", "\x04"
# What the model has learnt by heart, as a statement.
TYPED, GHOST = 'print("The kettle sings, the kitchen fills with steam, and every cup is wa', "rm"
PTPYTHON = """\
def configure(repl):
    from charrepl.autosuggest import GhostSuggest
    repl.default_buffer.auto_suggest = GhostSuggest()
"""
XONSH = """\
$PROMPT = '@ '
$XONSH_STYLE_OVERRIDES = {'auto-suggestion': '#666666'}  # the grey that the emulator knows
@events.on_ptk_create
def _ghosts(prompter, **_):
    from charrepl.autosuggest import GhostSuggest
    prompter.default_buffer.auto_suggest = GhostSuggest()
"""


def started(program: str, home: Path, *options: str, **variables: str) -> Screen:
    if importlib.util.find_spec(program) is None:
        pytest.skip(f"{program} is not installed")
    env = {
        **{name: value for name, value in os.environ.items() if name not in TERMINALS_OWN},
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local"),
        **variables,
    }
    return Screen([sys.executable, "-m", program, *options], env=env, columns=120)


def retyped(screen: Screen) -> bool:
    """Types the statement anew, and says whether its ghost comes: a daemon that begins needs a while."""
    screen.send(CTRL_U)
    screen.wait_for(lambda screen: TYPED[:10] not in screen.rows[screen.cursor[1]])
    screen.send(TYPED[:-1])
    screen.wait_for(TYPED[:-1])
    screen.send(TYPED[-1])
    screen.wait_for(TYPED)
    screen.take_in(1.0)
    return screen.ghost.startswith(GHOST)


def until_offered(screen: Screen) -> None:
    assert any(retyped(screen) for _ in range(30)), screen.text


def take_and_run(screen: Screen) -> None:
    whole = TYPED + screen.ghost.rstrip()
    screen.send(CTRL_E)
    screen.wait_for(lambda screen: screen.cursor[0] > screen.rows[screen.cursor[1]].index(TYPED) + len(TYPED))
    screen.send('")')
    screen.wait_for(lambda screen: re.search(rf'{re.escape(whole)} *"\)', screen.text))
    screen.send("\r")
    screen.wait_for("\nThe kettle sings")


def test_ipython_shows_what_is_taken_and_run_and_waits_for_no_daemon(living, shared_home, tmp_path):
    with started("IPython", tmp_path, "--no-banner", "--no-confirm-exit", IPYTHONDIR=str(tmp_path)) as screen:
        screen.wait_for("In [1]:")
        screen.type("%load_ext charrepl.ipython\r")
        screen.wait_for("In [2]:")
        until_offered(screen)
        take_and_run(screen)
        screen.wait_for("In [3]:")

        OffSwitch().turn_off("python")
        screen.send(TYPED)
        screen.wait_for(TYPED)
        screen.take_in(1.0)
        assert not screen.ghost.startswith(GHOST)
        OffSwitch().turn_on()
        until_offered(screen)

        found = control.running()
        assert found is not None
        screen.send(CTRL_U)
        os.kill(found.pid, signal.SIGKILL)
        screen.type("1 + 1\r")
        screen.wait_for("Out[3]: 2").wait_for("In [4]:")
        until_offered(screen)  # by a daemon that the prompt has started

        screen.send(CTRL_U)
        screen.type("%unload_ext charrepl.ipython\r")
        screen.wait_for("In [5]:")
        screen.type("get_ipython().auto_suggest\r")
        screen.wait_for("NavigableAutoSuggestFromHistory").wait_for("In [6]:")
        screen.send(CTRL_D)
        assert screen.wait_for_exit() == 0


def test_ptpython_shows_what_is_taken_and_run(living, shared_home, tmp_path):
    (tmp_path / "config.py").write_text(PTPYTHON)
    options = ("--config-file", str(tmp_path / "config.py"), "--history-file", str(tmp_path / "history"))
    with started("ptpython", tmp_path, *options) as screen:
        screen.wait_for(">>>")
        until_offered(screen)
        take_and_run(screen)


def test_xonsh_shows_what_is_taken_and_run(living, shared_home, tmp_path):
    (tmp_path / "rc.xsh").write_text(XONSH)
    with started("xonsh", tmp_path, "--rc", str(tmp_path / "rc.xsh"), "-i") as screen:
        screen.wait_for("@")
        until_offered(screen)
        take_and_run(screen)
