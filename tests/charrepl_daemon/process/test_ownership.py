"""A daemon whose directory, lock, socket or status file is taken away: it gets its own back, or makes way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from charrepl.client import Client
from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl_daemon.lifecycle import control
from charrepl_daemon.process import process_ids, status_file
from charrepl_daemon.process.lock import Lock
from charrepl_daemon.process.ownership import Ownership
from charrepl_daemon.process.readiness import TAKEN
from charrepl_daemon.process.status_file import RunningDaemon
from tests.charrepl_daemon.halting import halt
from tests.waiting import DEADLINE_S, until

TEXT, NEXT = "every cup is wa", "rm"


def socket_file() -> Path:
    return Path(paths.endpoint().removeprefix("ipc://"))


def test_a_lock_that_cannot_be_had_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(tmp_path))
    paths.lock_file().mkdir()
    status = RunningDaemon(os.getpid(), paths.endpoint())
    with pytest.raises(CharreplError, match=r"cannot lock .*: set CHARREPL_RUNTIME_DIR to another place$"):
        Ownership(status, unwritten=lambda path, why: None).take()


def remove_the_directory(place: Path) -> None:
    shutil.rmtree(place)


def move_the_directory(place: Path) -> None:
    place.rename(f"{place}-moved")


def put_another_directory_there(place: Path) -> None:
    place.rename(f"{place}-moved")
    place.mkdir(mode=0o700)


def remove_the_socket(place: Path) -> None:
    socket_file().unlink()


def put_another_socket_there(place: Path) -> None:
    socket_file().unlink()
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(socket_file()))


def remove_the_lock(place: Path) -> None:
    paths.lock_file().unlink()


def put_another_lock_there(place: Path) -> None:
    paths.lock_file().unlink()
    paths.lock_file().touch(mode=0o600)


def remove_the_status_file(place: Path) -> None:
    paths.status_file().unlink()


def let_the_status_file_name_another(place: Path) -> None:
    status_file.write(RunningDaemon(1, "ipc:///nowhere"))


def put_a_fifo_where_the_status_file_was(place: Path) -> None:
    paths.status_file().unlink()
    os.mkfifo(paths.status_file())


def remove_every_file(place: Path) -> None:  # as who cleans up temporary files does
    for file in place.iterdir():
        file.unlink()


@pytest.fixture
def moved(shared_home) -> Iterator[None]:
    yield
    shutil.rmtree(f"{paths.runtime_dir()}-moved", ignore_errors=True)


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize(
    "spoil",
    [
        remove_the_directory,
        move_the_directory,
        put_another_directory_there,
        remove_the_socket,
        put_another_socket_there,
        remove_the_lock,
        put_another_lock_there,
        remove_the_status_file,
        let_the_status_file_name_another,
        put_a_fifo_where_the_status_file_was,
        remove_every_file,
    ],
)
def test_what_was_taken_away_is_made_anew_and_nobody_loses_the_connection(living, spoil):
    with Client(autostart=False) as before:
        pid = before.status()["pid"]
        spoil(paths.runtime_dir())
        until(lambda: control._locked() and socket_file().exists() and status_file.read())
        until(lambda: process_ids.listening_at(paths.endpoint()) == pid)
        until(lambda: getattr(status_file.read(), "pid", 0) == pid)
        assert before.complete(TEXT).text.startswith(NEXT)
        with Client(autostart=False) as after:
            assert after.complete(TEXT).text.startswith(NEXT)
    found = control.running()
    assert found is not None
    assert found.pid == pid
    assert found.is_alive
    assert paths.runtime_dir().stat().st_mode & 0o777 == 0o700
    assert socket_file().stat().st_mode & 0o077 == 0


def start_in_the_foreground() -> subprocess.Popen[str]:
    daemon = subprocess.Popen(
        [sys.executable, "-m", "charrepl_daemon", "start", "--foreground"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: process_ids.listening_at(paths.endpoint()) == daemon.pid or daemon.poll() is not None)
    return daemon


def test_a_daemon_whose_place_another_has_leaves_and_takes_nothing_of_it_along(shared_home, command):
    control.stop()
    first = start_in_the_foreground()
    try:
        with Client(autostart=False) as client:
            assert client.complete(TEXT).text.startswith(NEXT)
        halt(first.pid)  # it sees nothing until the other one is there
        shutil.rmtree(paths.runtime_dir())
        assert command("start").stdout.startswith("Ready")
        os.kill(first.pid, signal.SIGCONT)
        said = first.communicate(timeout=DEADLINE_S)[1]
    finally:
        first.kill()
    assert first.returncode == 1
    assert f"Error: another daemon has its place now, {paths.runtime_dir()}\n" in said
    with Client(autostart=False) as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        status = client.status()
    assert status["pid"] not in (0, first.pid)
    assert status["predecessor"] is None
    assert command("stop").stdout == f"Stopped, pid {status['pid']}.\n"
    assert not socket_file().exists()
    assert not paths.status_file().exists()


def test_a_daemon_that_ends_before_it_sees_the_other_takes_nothing_of_it_along(shared_home, command):
    control.stop()
    first = start_in_the_foreground()
    try:
        halt(first.pid)
        shutil.rmtree(paths.runtime_dir())
        assert command("start").stdout.startswith("Ready")
        first.terminate()
        os.kill(first.pid, signal.SIGCONT)
        first.communicate(timeout=DEADLINE_S)
    finally:
        first.kill()
    with Client(autostart=False) as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        assert status_file.read().pid == client.status()["pid"]


def test_a_daemon_that_nobody_could_reach_any_more_leaves_and_says_why(shared_home):
    control.stop()
    first = start_in_the_foreground()
    place, real = paths.runtime_dir(), Path(f"{paths.runtime_dir()}-real")
    try:
        place.rename(real)
        place.symlink_to(real)
        said = first.communicate(timeout=DEADLINE_S)[1]
    finally:
        first.kill()
        place.unlink()
        shutil.rmtree(real)
    assert first.returncode == 1
    assert f"Error: {place} is a symlink: remove it" in said


def test_a_directory_that_is_opened_to_others_is_said_in_the_log_and_may_be_closed_again(living):
    place = paths.runtime_dir()
    with Client(autostart=False) as client:
        pid = client.status()["pid"]
    place.chmod(0o755)
    try:
        until(
            lambda: f"nobody can reach this daemon: {place} is open to other users" in living("logs").stdout
        )
    finally:
        place.chmod(0o700)
    with Client(autostart=False) as client:
        assert client.status()["pid"] == pid


# Which process it is


def test_stop_ends_the_daemon_and_never_a_bystander_whose_pid_the_status_file_has(living, monkeypatch):
    monkeypatch.setattr(control, "_ANSWER_S", 0.2)
    monkeypatch.setattr(control, "_TERM_AFTER_S", 0.5)
    monkeypatch.setattr(control, "_KILL_AFTER_S", 2.0)
    with Client(autostart=False) as client:
        pid = client.status()["pid"]
    with subprocess.Popen(["sleep", "600"]) as bystander:
        halt(pid)  # so that it neither answers nor writes the file anew
        try:
            for stale in (
                RunningDaemon(bystander.pid, paths.endpoint(), birth="when another process had its pid"),
                RunningDaemon(bystander.pid, paths.endpoint()),  # as an older daemon wrote it
                RunningDaemon(0, paths.endpoint()),
            ):
                status_file.write(stale)
                assert control.running().pid == pid
            stopped = control.stop()
            assert bystander.poll() is None
        finally:
            bystander.kill()
    assert stopped.pid == pid
    assert control.running() is None


def test_a_daemon_whose_process_cannot_be_found_is_never_called_pid_0(shared_home, command):
    control.stop()
    paths.private_dir(paths.runtime_dir())
    holder = filelock.FileLock(paths.lock_file(), mode=0o600)  # as one that has only just begun
    with holder:
        assert control.running().pid == 0
        said = command("status")
        assert said.returncode == 1
        assert said.stderr == "Error: the daemon is starting, or ending: try again in a moment\n"


def test_a_process_is_told_from_another_with_its_pid():
    mine = process_ids.birth(os.getpid())
    assert mine
    assert mine == process_ids.birth(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert process_ids.birth(other.pid) not in ("", mine)
        other.communicate(b"\n")
    assert process_ids.birth(other.pid) == ""
    assert process_ids.birth(0) == process_ids.birth(-1) == ""


def test_a_lock_file_that_is_removed_is_no_lock_any_more(tmp_path):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.acquire(0.0)
    assert not second.acquire(0.0)
    assert first.in_place()
    (tmp_path / "lock").unlink()
    assert not first.in_place()
    assert second.acquire(0.0)
    assert second.in_place()
    assert not first.in_place()
    second.release()
    first.release()
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "none").acquire(0.0, create=False)


def test_status_names_the_daemon_that_answers(living):
    told = living("status").stdout
    assert re.search(rf"\bpid {json.loads(living('status', '--json').stdout)['pid']}\b", told)


def test_a_start_whose_daemon_loses_its_place_is_told_that_another_is_there(shared_home):
    control.stop()
    status = RunningDaemon(os.getpid(), paths.endpoint(), birth=process_ids.birth(os.getpid()))
    ownership = Ownership(status, unwritten=lambda path, why: None)
    ownership.take()
    paths.lock_file().unlink()
    other = Lock(paths.lock_file())
    assert other.acquire(DEADLINE_S)
    try:
        with pytest.raises(CharreplError, match="another daemon has its place now") as raised:
            ownership.keep(lambda: None)
        assert raised.value.code == TAKEN  # so that `start` waits for that one, and says that it runs
    finally:
        other.release()
        ownership.release()


def test_a_client_of_another_endpoint_is_not_told_to_start_a_daemon_of_its_own(shared_home, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    endpoint = f"ipc://{text}"
    with Client(endpoint=endpoint) as client, pytest.raises(CharreplError) as raised:
        client.status()
    assert str(raised.value).startswith(f"no daemon listens at {endpoint}: ")
    assert text.read_text() == "mine"
