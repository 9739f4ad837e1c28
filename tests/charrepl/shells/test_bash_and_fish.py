"""Ghosts at a key in bash and fish, and in grey in bash with ble.sh."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.wire import protocol
from tests.charrepl.prompt import Bench
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import ScriptedDaemon, answer, hung
from tests.charrepl.shells.shell import ALT_F, ALT_SEMICOLON, CTRL_U, LINE, PASTE, RIGHT, start

BLE = next(
    (
        path
        for path in (
            Path(os.environ.get("BLE_SH", "/nowhere")),
            Path("/usr/share/blesh/ble.sh"),
            Path("~/.local/share/blesh/ble.sh").expanduser(),
        )
        if path.is_file()
    ),
    None,
)
every_shell = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason="it is not installed"))
        for name in ("bash", "fish")
    ],
)


def line_of(request: protocol.Complete) -> str:
    return request.text.rpartition("\n")[2]


def going_on(request: protocol.Complete) -> Iterator[protocol.Message]:
    typed = line_of(request)
    yield answer(request, LINE[len(typed) :] if LINE.startswith(typed) else "")


@pytest.fixture
def daemon(bench: Bench) -> Iterator[ScriptedDaemon]:
    run = bench.place / "run"
    run.mkdir(mode=0o700)
    with ScriptedDaemon(run / "daemon.sock", going_on) as daemon:
        yield daemon


def started(shell: str, bench: Bench, *, patient: bool = True, **more: str) -> Screen:
    if shell == "fish" and patient:  # for on a busy machine, a second is short
        more["after"] = "set -a _charrepl_pipe --within 60s"
    return start(shell, bench.place, bench.env, **more)


def typed(line: str):
    return lambda screen: screen.before_cursor == line


def pressed(screen: Screen, shell: str, line: str) -> None:
    """Presses the key, in bash until the line is this: it gives up before what it asks has started."""
    screen.send(ALT_SEMICOLON)
    if shell == "bash":
        for _ in range(10):
            for _ in range(20):
                screen.take_in(0.2)
                if screen.before_cursor == line:
                    return
            screen.send(ALT_SEMICOLON)
    screen.wait_for(typed(line))


@every_shell
def test_the_key_writes_the_rest_and_the_line_runs(bench: Bench, daemon: ScriptedDaemon, shell: str) -> None:
    with started(shell, bench) as screen:
        screen.send("echo e")
        screen.wait_for(typed("echo e"))
        pressed(screen, shell, LINE)
        screen.send("\r")
        screen.wait_for("\nevery cup is warm\n%")
        screen.send("ech")
        screen.wait_for(typed("ech"))
        pressed(screen, shell, LINE)
        assert f"{LINE}\nech" in [request.text for request in daemon.requests]
        screen.send(CTRL_U + "ls /proc/self/fd | wc -l\r")
        screen.wait_for("\n4\n%")  # what it starts has no descriptor of ours


@every_shell
def test_where_the_model_has_nothing_the_latest_command_is_recalled(
    bench: Bench, daemon: ScriptedDaemon, shell: str
) -> None:
    with started(shell, bench) as screen:
        for line in ("true [a] \\\\b new", ":"):
            screen.send(f"{line}\r")
            screen.wait_for(
                lambda screen, line=line: screen.rows[screen.cursor[1] - 1].rstrip() == f"% {line}"
            )
        screen.send("tru")
        screen.wait_for(typed("tru"))
        pressed(screen, shell, "true [a] \\\\b new")


@every_shell
def test_what_begins_with_a_space_or_has_a_word_behind_it_is_not_asked_about(
    bench: Bench, daemon: ScriptedDaemon, shell: str
) -> None:
    with started(shell, bench) as screen:
        screen.send(" ech" + ALT_SEMICOLON + CTRL_U)
        screen.wait_for(typed(""))
        screen.send(PASTE.format("echo") + "\x01" + ALT_SEMICOLON + "X")
        screen.wait_for(typed("X"))
        screen.send("\x05" + CTRL_U + PASTE.format("y" * 10_000))
        screen.wait_for(lambda screen: screen.cursor[1] == 23)  # fish draws nothing that needs more rows
        screen.send(ALT_SEMICOLON + "z")
        screen.wait_for(lambda screen: screen.cursor[0] == (len("% ") + 10_001) % 80)
        screen.send(CTRL_U)
        screen.wait_for(typed(""))
        screen.send("echo e")
        screen.wait_for(typed("echo e"))
        pressed(screen, shell, LINE)
        assert {line_of(request) for request in daemon.requests} == {"echo e"}


@every_shell
def test_a_daemon_that_hangs_costs_no_more_than_a_moment(
    bench: Bench, daemon: ScriptedDaemon, shell: str
) -> None:
    daemon.script = hung
    with started(shell, bench, patient=False) as screen:
        screen.send("true" + ALT_SEMICOLON + " one" + ALT_SEMICOLON + " two\r")
        screen.wait_for(lambda screen: screen.text.count("%") == 2)
        assert screen.lines[0] == "% true one two"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_program_that_dies_while_it_is_asked_does_not_end_the_shell(
    bench: Bench, daemon: ScriptedDaemon
) -> None:
    with started("bash", bench) as screen:
        screen.send("echo e")
        screen.wait_for(typed("echo e"))
        pressed(screen, "bash", LINE)
        # As if the shell had not heard of its death yet.
        screen.send(
            CTRL_U + "exec 8<&${CHARREPL_PIPE[0]} 9>&${CHARREPL_PIPE[1]}; kill -9 $CHARREPL_PIPE_PID\r"
        )
        screen.wait_for(lambda screen: screen.text.count("%") == 2)
        screen.send("CHARREPL_PIPE=(8 9) CHARREPL_PIPE_PID=$$\r")
        screen.wait_for(lambda screen: screen.text.count("%") == 3)
        screen.send("echo e" + ALT_SEMICOLON + CTRL_U + "echo al''ive\r")
        screen.wait_for("\nalive\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_program_that_asks_and_is_killed_is_started_anew(bench: Bench, daemon: ScriptedDaemon) -> None:
    with started("bash", bench) as screen:
        screen.send("echo e")
        screen.wait_for(typed("echo e"))
        pressed(screen, "bash", LINE)
        screen.send(CTRL_U + "kill -9 $CHARREPL_PIPE_PID\r")
        screen.wait_for(lambda screen: screen.text.count("%") == 2)
        screen.send("echo e")
        screen.wait_for(typed("echo e"))
        pressed(screen, "bash", LINE)


@pytest.mark.skipif(BLE is None, reason="ble.sh is not installed")
def test_ble_sh_shows_it_in_grey(bench: Bench, daemon: ScriptedDaemon) -> None:
    before = f"source {BLE} --noattach --norc; bleopt complete_auto_delay=1"
    with started("bash", bench, before=before, after="ble-attach") as screen:
        for _ in range(30):
            screen.send("ech")
            screen.take_in(1.0)
            if LINE in screen.text:
                break
            screen.send(CTRL_U)
            screen.take_in(0.2)
        screen.wait_for(LINE)
        assert screen.before_cursor == "ech"
        screen.send("o")  # typed by hand, and then taken by a word
        screen.wait_for(typed("echo"))
        assert LINE in screen.text
        screen.send(ALT_F)
        screen.wait_for(typed("echo every"))
        screen.send(RIGHT)
        screen.wait_for(typed(LINE))
        screen.send("\r")
        screen.wait_for("\nevery cup is warm\n")
