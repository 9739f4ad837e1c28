"""The line socket: a ghost for a text, by the rules of the other socket, whoever comes and goes."""

from __future__ import annotations

import os
import signal
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from charrepl.suggestions.off_switch import OffSwitch
from charrepl.system import paths
from charrepl_daemon.lifecycle import control
from tests.charrepl_daemon.line_client import Line
from tests.charrepl_daemon.wire import Wire, complete, until_final
from tests.soak.watching import descriptors
from tests.waiting import until

TEXT = "The kettle sings, the kitchen fills with steam, and every cup is wa"
MOST = 256  # connections


@pytest.fixture
def line(shared_daemon):
    with Line() as line:
        yield line


def ghost(line: Line) -> str:
    """The ghost after TEXT, once there is time for it on a busy machine."""
    found = until(lambda: line.ask(TEXT))
    assert found.startswith("rm")
    return found


def test_a_ghost_for_a_text_on_one_connection_or_on_one_each(line):
    found = ghost(line)
    assert line.ask(TEXT) == found
    assert line.ask(TEXT + "r").startswith("m")
    for _ in range(3):
        with Line() as another:
            assert another.ask("\x01host=zsh\x01lines=1", TEXT) == found


def test_it_is_the_ghost_that_others_get(line):
    with Wire() as wire:
        wire.send(complete(1, TEXT, stop="line", decoding={"adapt": True}))
        assert until_final(wire)[-1]["text"].startswith(ghost(line))


def test_only_its_owner_can_connect(shared_daemon):
    found = paths.line_socket().stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_who_has_no_more_to_ask_still_gets_the_answer_and_the_end(line):
    ghost(line)
    line.say(TEXT)
    line.socket.shutdown(socket.SHUT_WR)
    assert line.hear().startswith("rm")
    assert line.has_ended


def test_several_lines_and_a_long_text(line):
    ghost(line)
    assert "\n" not in line.ask(TEXT)
    assert "\n" in line.ask("\x01lines=9\x01on_demand=yes", TEXT)
    assert line.ask("\x01lines=\x01on_demand=", "x" * 50_000 + "\n" + TEXT).startswith("rm")


def test_what_is_wrong_is_said_and_the_connection_lives(line):
    ghost(line)
    assert line.ask("\x01model=nobody", TEXT).startswith("\x15there is no model named 'nobody'")
    assert line.ask("\x01model=\x01lines=many", TEXT).startswith("\x15lines=many")
    assert line.ask("\x01model=\x01lines=1", b"\xff\xfe" + TEXT.encode()).startswith("rm")
    assert line.ask("x" * 200_000).startswith("\x15a text of more than")
    assert line.ask(TEXT).startswith("rm")


def test_ghosts_that_are_off_do_not_come(line, tmp_path):
    ghost(line)
    switch = OffSwitch()
    switch.turn_off("bash")
    assert line.ask("\x01host=bash", TEXT) == ""
    assert line.ask("\x01host=zsh", TEXT).startswith("rm")
    switch.turn_on()
    (tmp_path / ".charrepl-off").touch()
    (tmp_path / "below").mkdir()
    assert line.ask(f"\x01path={tmp_path}/below", TEXT) == ""
    assert line.ask("\x01path=/", TEXT).startswith("rm")


def test_what_is_typed_is_in_no_log(line):
    line.ask("\x01lines=1", "a secret of mine")
    line.ask("\x01nonsense=1", "a secret of mine")
    assert "secret" not in paths.log_file().read_text()


def test_connections_that_do_nothing_make_room_and_leave_nothing_behind(line):
    ghost(line)
    with Wire() as wire:
        pid = wire.status()["pid"]
        before = descriptors(pid)
        with ExitStack() as kept:
            first = kept.enter_context(Line())
            assert first.ask(TEXT)
            others = [kept.enter_context(Line()) for _ in range(MOST + 20)]
            assert first.has_ended
            assert others[-1].ask(TEXT)
            assert descriptors(pid) <= before + MOST + 8
        until(lambda: descriptors(pid) <= before + 2)


def test_two_hundred_shells_ask_at_once_and_none_is_left_out(line):
    found = ghost(line)
    with ExitStack() as kept:
        shells = [kept.enter_context(Line()) for _ in range(200)]
        for number, shell in enumerate(shells):
            shell.say(f"\x01host=zsh\x01document=zsh-{number}", TEXT)
        answers = [shell.hear() for shell in shells]
        assert set(answers) <= {found, ""}  # late ones are empty
        assert all(ghost(shell) == found for shell in shells)


def test_who_leaves_without_waiting_leaves_nothing_behind(shared_daemon):
    with Line() as line, Wire() as wire:
        ghost(line)
        before = descriptors(wire.status()["pid"])
        for n in range(200):
            with Line() as leaving:
                leaving.say("\x01document=shell\x01lines=40\x01on_demand=yes", f"{TEXT}{n}")
        until(lambda: not wire.status()["waiting"])
        until(lambda: descriptors(wire.status()["pid"]) <= before + 2)
        assert line.ask(TEXT).startswith("rm")


def test_a_client_that_never_reads_or_never_ends_keeps_nobody_waiting(line):
    ghost(line)
    with Line() as greedy, Line() as endless:
        greedy.socket.settimeout(0.5)
        endless.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                greedy.socket.sendall((TEXT.encode() + b"\0") * 1000)
        endless.socket.sendall(b"x" * 1_000_000)
        assert line.ask(TEXT).startswith("rm")


def test_a_socket_that_is_taken_away_is_made_anew(living):
    with Line() as line:
        ghost(line)
        paths.line_socket().unlink()
        until(paths.line_socket().exists)
        assert line.ask(TEXT).startswith("rm")  # it goes on
        with Line() as another:
            assert another.ask(TEXT).startswith("rm")


def test_it_goes_with_the_daemon_and_comes_with_the_next(living, start_daemon):
    with Line() as line:
        ghost(line)
        control.stop()
        assert line.has_ended
    assert not paths.line_socket().exists()
    start_daemon()
    found = control.running()
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    start_daemon()  # where the dead one's socket still is
    with Line() as line:
        ghost(line)
    assert list(Path(paths.runtime_dir()).glob("*.new")) == []
