"""Ghosts in zsh, by its own means or through zsh-autosuggestions."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charrepl.prompt import Bench
from tests.charrepl.screen import Screen
from tests.charrepl.shells.line_server import LineServer
from tests.charrepl.shells.shell import (
    ALT_F,
    CTRL_C,
    CTRL_U,
    END,
    LINE,
    PASTE,
    RIGHT,
    at_prompt,
    shows,
    start,
)

pytestmark = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
PLUGIN = Path("/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh")
# History would show the same lines: what is charrepl's is seen without it.
SOURCED = f"ZSH_AUTOSUGGEST_HIGHLIGHT_STYLE=fg=245; ZSH_AUTOSUGGEST_STRATEGY=(charrepl); source {PLUGIN}"
SYNCHRONOUS = f"{SOURCED}; unset ZSH_AUTOSUGGEST_USE_ASYNC"
needs_plugin = pytest.mark.skipif(not PLUGIN.exists(), reason="zsh-autosuggestions is not installed")
every_way = pytest.mark.parametrize(
    "before",
    ["", pytest.param(SOURCED, marks=needs_plugin), pytest.param(SYNCHRONOUS, marks=needs_plugin)],
    ids=["by itself", "plugin", "synchronous plugin"],
)


@pytest.fixture
def run(bench: Bench) -> Path:
    """Where a daemon's sockets are."""
    run = bench.place / "run"
    run.mkdir(mode=0o700)
    return run


@pytest.fixture
def server(run: Path) -> Iterator[LineServer]:
    with LineServer(run / "daemon.line", LINE) as server:
        yield server


def zsh(bench: Bench, before: str = "", *options: str, after: str = "") -> Screen:
    # No daemon is started but by the test.
    after = f"_charrepl_start=(true); {after}"
    return start("zsh", bench.place, bench.env, *options, before=before, after=after)


@contextlib.contextmanager
def hung_and_full(path: Path) -> Iterator[None]:
    """A daemon that accepts nobody, with as many who wait for it as can: to connect would take for ever."""
    with contextlib.ExitStack() as sockets:
        hung = sockets.enter_context(socket.socket(socket.AF_UNIX))
        hung.bind(str(path))
        path.chmod(0o600)
        hung.listen(1)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = sockets.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
        yield


def type_slowly(screen: Screen, text: str) -> None:
    """A key at a time, each once the one before is on the screen: keys that wait are not asked about."""
    for key in text:
        typed = screen.before_cursor + key
        screen.send(key)
        screen.wait_for(lambda screen, typed=typed: screen.before_cursor == typed)


@every_way
def test_a_ghost_is_shown_and_taken_and_the_line_runs(bench: Bench, server: LineServer, before: str) -> None:
    with zsh(bench, before) as screen:
        type_slowly(screen, "ech")
        screen.wait_for(shows("ech", LINE[3:]))
        screen.send(END)
        screen.wait_for(shows(LINE, ""))
        screen.send("\r")
        screen.wait_for("\nevery cup is warm\n%")
        assert server.asked[0].host == "zsh"
        assert server.asked[0].path == Path.cwd()


def take_a_word(screen: Screen) -> None:
    """Takes the next word of the ghost after `echo e`."""
    type_slowly(screen, "echo e")
    screen.wait_for(shows("echo e", LINE[6:]))
    screen.send(ALT_F)
    screen.wait_for(lambda screen: screen.before_cursor.startswith("echo every") and screen.ghost)
    screen.wait_for(lambda screen: screen.before_cursor + screen.ghost == LINE)


@pytest.mark.parametrize("whole", [True, False], ids=["with all else", "alone"])
@every_way
def test_what_is_read_at_the_start_may_be_read_again(
    bench: Bench, server: LineServer, before: str, whole: bool
) -> None:
    with zsh(bench, before) as screen:
        again = bench.place / "again.zsh"
        read = (bench.place / ".zshrc").read_text()
        again.write_text(read if whole else read.replace(before, ""))
        for _ in range(2):
            screen.send(f"source {again}; clear\r")
            screen.wait_for(lambda screen: at_prompt(screen) and len(screen.text.split()) == 1)
        take_a_word(screen)
        screen.send(END)
        screen.wait_for(shows(LINE, ""))


@every_way
def test_a_ghost_is_taken_by_words(bench: Bench, server: LineServer, before: str) -> None:
    with zsh(bench, before) as screen:
        take_a_word(screen)
        screen.send(RIGHT)
        screen.wait_for(shows(LINE, ""))
        screen.send(CTRL_U)
        screen.wait_for(at_prompt)
        type_slowly(screen, "e")
        screen.wait_for(shows("e", LINE[1:]))
        assert server.asked[-1].saved == len(LINE) - len("echo e") - 2  # two keys took it


@every_way
def test_what_is_pasted_or_begins_with_a_space_or_is_long_is_not_asked_about(
    bench: Bench, server: LineServer, before: str
) -> None:
    with zsh(bench, before) as screen:
        for text in ("echo", "x" * 10_000):
            screen.send(PASTE.format(text))
            screen.wait_for(text[-4:])
            screen.send(CTRL_U)
            screen.wait_for(at_prompt)
        type_slowly(screen, " ech")
        screen.send(CTRL_U)
        screen.wait_for(at_prompt)
        type_slowly(screen, "echo")
        screen.wait_for(shows("echo", LINE[4:]))
        assert set(server.lines) <= {"e", "ec", "ech", "echo"}


def test_what_was_typed_of_the_ghost_is_not_asked_about_again(bench: Bench, server: LineServer) -> None:
    with zsh(bench) as screen:
        screen.send("e")
        screen.wait_for(shows("e", LINE[1:]))
        for end in range(2, 10):
            screen.send(LINE[end - 1])
            screen.wait_for(shows(LINE[:end], LINE[end:]))
        assert server.lines == ["e"]
        screen.send("X")
        screen.wait_for(shows(LINE[:9] + "X", ""))


@every_way
def test_the_commands_before_go_along(bench: Bench, server: LineServer, before: str) -> None:
    with zsh(bench, before, after="setopt hist_ignore_space") as screen:
        screen.send("true one\r")
        screen.wait_for(lambda screen: screen.text.count("%") == 2)
        screen.send(" true secret\r")
        screen.wait_for(lambda screen: screen.text.count("%") == 3)
        type_slowly(screen, "ech")
        screen.wait_for(shows("ech", LINE[3:]))
        assert server.asked[-1].before.startswith("true one\ne")


@every_way
def test_no_daemon_or_one_that_hangs_costs_no_key(bench: Bench, run: Path, before: str) -> None:
    with zsh(bench, before) as screen:
        type_slowly(screen, "true none")  # there is none
        with hung_and_full(run / "daemon.line"):
            screen.send(CTRL_U)
            screen.wait_for(at_prompt)
            type_slowly(screen, "true hung")
        (run / "daemon.line").unlink()
        with LineServer(run / "daemon.line", LINE) as server:
            screen.send("\r")
            screen.wait_for(at_prompt)
            type_slowly(screen, "echo")
            screen.wait_for(shows("echo", LINE[4:]) if before != SYNCHRONOUS else "echo")
            server.silent = True
            type_slowly(screen, "X")
            screen.wait_for(lambda screen: server.lines[-1:] == ["echoX"] or before == SYNCHRONOUS)
            type_slowly(screen, "YZ")
        type_slowly(screen, "!")  # it has died while it was asked


def test_a_ghost_is_gone_once_the_line_ends(bench: Bench, server: LineServer) -> None:
    with zsh(bench) as screen:
        type_slowly(screen, "echo")
        screen.wait_for(shows("echo", LINE[4:]))
        screen.send("\r")
        screen.wait_for(at_prompt)
        assert "every" not in screen.text
        screen.send("e")
        screen.wait_for(shows("e", LINE[1:]))
        while not at_prompt(screen):  # one that comes while the ghost is drawn ends only that
            screen.send(CTRL_C)
            screen.take_in(0.2)
        assert "cho every" not in screen.text  # the line that was left is as it was typed
        screen.send(END)  # nothing is left that could be taken
        screen.send("e")
        screen.wait_for(shows("e", LINE[1:]))


def test_a_trap_of_ones_own_stays(bench: Bench, server: LineServer) -> None:
    with zsh(bench, before="trap 'print trapped' INT") as screen:
        screen.send("e")
        screen.wait_for(shows("e", LINE[1:]))
        screen.send(CTRL_C)
        screen.wait_for("trapped")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
def test_what_a_line_starts_has_no_descriptor_of_ours(bench: Bench, server: LineServer) -> None:
    count = "ls /proc/self/fd | wc -l"
    with zsh(bench) as screen:
        for answered in (False, True):
            server.silent = True
            type_slowly(screen, count)
            asked = len(server.asked)
            assert server.lines[-1] == "l"  # and it has no answer yet
            screen.send("\r")
            screen.wait_for("\n4\n%")
            screen.send("clear\r")
            screen.wait_for(lambda screen: "4" not in screen.text and at_prompt(screen))
            server.silent = False
            if not answered:  # from then on it asks without a process of its own
                type_slowly(screen, "echo")
                screen.wait_for(shows("echo", LINE[4:]))
                screen.send(CTRL_U)
                screen.wait_for(at_prompt)
                assert len(server.asked) > asked


def test_keys_that_move_within_the_line_do_as_ever(bench: Bench, server: LineServer) -> None:
    with zsh(bench, after="bindkey '^B' backward-char") as screen:
        type_slowly(screen, "echo")
        screen.wait_for(shows("echo", LINE[4:]))
        screen.send("\x02\x02" + RIGHT)
        screen.wait_for(lambda screen: screen.before_cursor == "ech")
        screen.send(END)
        screen.wait_for(lambda screen: screen.before_cursor == "echo")
        screen.send(END)
        screen.wait_for(shows(LINE, ""))


@every_way
def test_nothing_is_asked_by_read_and_vared(bench: Bench, server: LineServer, before: str) -> None:
    with zsh(bench, before) as screen:
        screen.send("read -s 'x?say '; v=; vared -p 'edit ' v; echo $x-$v\r")
        screen.wait_for("say ")
        screen.send("echo\r")
        screen.wait_for("edit ")
        screen.send("ech")
        screen.wait_for("edit ech")
        screen.send("o\r")
        screen.wait_for("echo-echo")
        assert not [line for line in server.lines if line in ("ech", "echo")]


def test_a_strategy_that_stands_somewhere_already_stays_there(bench: Bench, server: LineServer) -> None:
    if not PLUGIN.exists():
        pytest.skip("zsh-autosuggestions is not installed")
    for strategies, whole in (("", "charrepl history"), ("(history charrepl)", "history charrepl")):
        before = f"source {PLUGIN}" + (f"; ZSH_AUTOSUGGEST_STRATEGY={strategies}" if strategies else "")
        with zsh(bench, before) as screen:
            screen.send(" echo $ZSH_AUTOSUGGEST_STRATEGY\r")
            screen.wait_for(f"\n{whole}\n")


def test_what_the_history_has_is_told_with_the_line(bench: Bench, server: LineServer) -> None:
    with zsh(bench) as screen:
        for line in ("print -r '[a]' old", "print -r '[a]' new", "print -r '[a]'"):
            screen.send(f"{line}\r")
            said = line[9:].replace("'", "")
            screen.wait_for(lambda screen, said=said: f"\n{said}\n" in screen.text and at_prompt(screen))
        for typed, recalled in (
            ("pri", "print -r '[a]'"),
            ("print -r '[a]'", "print -r '[a]' new"),
            ("print -r '[a]' o", "print -r '[a]' old"),
        ):
            screen.send(CTRL_U + typed)
            asked = (f"\n{typed}", recalled)
            screen.wait_for(
                lambda _, asked=asked: any(
                    one.before.endswith(asked[0]) and one.recalled == asked[1] for one in server.asked
                )
            )
