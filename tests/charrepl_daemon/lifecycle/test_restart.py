"""Replacing a daemon: with its options, by whoever runs it, and only where that is called for."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from charrepl.client import Client, daemon_startup
from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl_daemon.lifecycle import control
from charrepl_daemon.process import status_file
from charrepl_daemon.process.lock import Lock
from charrepl_daemon.process.status_file import RunningDaemon
from tests.charrepl.scripted_daemon import ScriptedDaemon, hung
from tests.charrepl_daemon.halting import halt
from tests.charrepl_daemon.wire import Wire
from tests.waiting import DEADLINE_S

OPTIONS = ("--cache-mb", "8", "--max-models", "2", "--metrics-port", "0", "--model", "kettle")
TEXT, NEXT = "every cup is wa", "rm"


def of_protocol(number: int) -> str:
    """What makes a daemon one of another version: its protocol has another number."""
    return f"from charrepl.wire import protocol; protocol.PROTOCOL = {number}"


def status_of(daemon) -> dict:
    return json.loads(daemon("status", "--json").stdout)


def options() -> dict:
    found = control.running()
    assert found is not None
    return {name: found.options[name] for name in ("cache_mb", "max_models", "model", "idle_minutes")}


KEPT = {"cache_mb": 8, "max_models": 2, "model": "kettle", "idle_minutes": None}


def test_its_options_are_kept_by_restart_and_after_a_crash_and_not_after_stop(shared_home, command):
    control.stop()
    assert command("start", *OPTIONS).returncode == 0
    again = command("restart", "--force", "--cache-mb", "16")
    assert (again.returncode, again.stderr) == (0, "")
    assert "Metrics at http://127.0.0.1:" in again.stdout
    assert options() == {**KEPT, "cache_mb": 16}
    os.kill(control.running().pid, signal.SIGKILL)
    assert control._wait_unlocked(DEADLINE_S)
    daemon_startup.start()
    assert options() == {**KEPT, "cache_mb": 16}
    assert command("stop").returncode == 0
    daemon_startup.start()
    assert options() == {"cache_mb": 256, "max_models": 4, "model": "", "idle_minutes": 30}


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (("--model", "nosuch"), "there is no model named 'nosuch'"),
        (("--endpoint", "ipc:///tmp/notes.txt"), "cannot listen on ipc:///tmp/notes.txt"),
        (("--endpoint", "tcp://127.0.0.1:0"), "this machine has no key yet"),
        (("--metrics-port", "none"), "'none' is not a port"),
    ],
)
def test_restart_leaves_the_daemon_alone_where_none_could_be_started_in_its_place(living, option, why):
    pid = status_of(living)["pid"]
    refused = living("restart", "--force", *option)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"Error: {why}")
    assert refused.stderr.count("\n") == 1
    assert status_of(living)["pid"] == pid


def test_a_client_starts_a_daemon_though_the_model_of_the_one_before_has_gone(shared_home, command):
    control.stop()
    gone = RunningDaemon(0, paths.endpoint(), options={"model": "gone", "cache_mb": 8}, ended="left")
    paths.private_dir(paths.runtime_dir())
    assert not status_file.write(gone)
    daemon_startup.start()
    assert options() == {"cache_mb": 8, "max_models": 4, "model": "", "idle_minutes": None}


def test_an_older_daemon_is_replaced_with_its_options(altered_daemon):
    altered_daemon(of_protocol(protocol.PROTOCOL - 1), options=OPTIONS)
    with Client() as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        assert client.status()["protocol"] == protocol.PROTOCOL
    assert options() == KEPT


@pytest.mark.parametrize("number", [protocol.PROTOCOL - 1, protocol.PROTOCOL + 1], ids=["older", "newer"])
def test_start_beside_a_daemon_of_another_protocol_says_so_at_once(shared_home, command, number):
    control.stop()
    paths.private_dir(paths.runtime_dir())
    scripted = ScriptedDaemon(Path(paths.endpoint().removeprefix("ipc://")), hung)
    scripted.protocol = number
    lock = Lock(paths.lock_file())
    assert lock.acquire(DEADLINE_S)
    with scripted:
        started = command("start")
    lock.release()
    assert started.returncode == 1
    assert started.stderr == (
        f"Error: the running daemon (pid {os.getpid()}) is charrepl scripted, which speaks another "
        "protocol: charrepl-daemon restart replaces it\n"
    )


def test_restart_if_older_leaves_one_of_the_same_protocol_and_starts_one_where_there_is_none(living):
    pid = status_of(living)["pid"]
    said = living("restart", "--if-older")
    assert (said.returncode, said.stdout) == (0, f"Already running, pid {pid}.\n")
    assert status_of(living)["pid"] == pid
    assert living("stop").returncode == 0
    assert living("restart", "--if-older").stdout.startswith("Ready, pid ")


def test_a_reload_that_is_overtaken_by_a_shutdown_has_its_reply(living):
    with Wire() as wire:
        for seq in range(1, 4):
            wire.send({"type": "reload", "seq": seq, "model": "kettle"})
        wire.send({"type": "shutdown", "seq": 4})
        wire.send({"type": "reload", "seq": 5, "model": "kettle"})
        found = {reply["seq"]: reply for reply in (wire.receive() for _ in range(5))}
    assert found.keys() == {1, 2, 3, 4, 5}
    assert found[4]["type"] == "done"
    for seq in (1, 2, 3, 5):
        assert found[seq]["type"] == "done" or found[seq]["code"] == "stopping"
    assert found[5]["code"] == "stopping"
    assert control._wait_unlocked(DEADLINE_S)


# Run by systemd

SYSTEMCTL = """#!/bin/sh
echo "$@" >> {said}
case "$*" in
"--user restart charrepl-daemon.service")
    kill -TERM {pid} ;;
*) echo "Unit not found." >&2; exit 5 ;;
esac
"""


@pytest.fixture
def unit(altered_daemon, tmp_path, monkeypatch) -> tuple[Path, int]:
    """A daemon that is the main process of a unit; what systemctl was told, and the daemon's pid."""
    daemon = altered_daemon("import os; os.environ['NOTIFY_SOCKET'] = '/nowhere'")
    said = tmp_path / "said"
    said.touch()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(SYSTEMCTL.format(said=said, pid=daemon.pid))
    systemctl.chmod(0o700)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    return said, daemon.pid


def test_a_daemon_that_systemd_runs_is_restarted_by_systemd_with_its_own_options(unit, command, monkeypatch):
    said, pid = unit
    assert status_file.read().unit == "charrepl-daemon.service"
    refused = command("restart", "--cache-mb", "8")
    assert refused.returncode == 1
    assert "change them with charrepl-daemon install-service" in refused.stderr
    with pytest.MonkeyPatch.context() as without_systemd:
        without_systemd.setenv("PATH", "/nonexistent")
        refused = command("restart")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "as charrepl-daemon.service, and could not restart it" in refused.stderr
    assert said.read_text() == ""
    assert control.running().pid == pid
    restarted = command("restart")
    assert (restarted.returncode, restarted.stderr) == (0, "")
    assert said.read_text() == "--user restart charrepl-daemon.service\n"
    assert control._wait_unlocked(DEADLINE_S)  # the one that comes next would be systemd's


def test_a_hung_daemon_of_systemds_is_stopped_by_systemd_which_would_start_it_again(unit, monkeypatch):
    said, pid = unit
    monkeypatch.setattr(control, "_ANSWER_S", 0.2)
    monkeypatch.setattr(control, "_TERM_AFTER_S", 0.5)
    monkeypatch.setattr(control, "_KILL_AFTER_S", 1.0)
    halt(pid)
    assert control.stop().pid == pid
    assert "--user stop charrepl-daemon.service" in said.read_text()


# A daemon that hangs


def test_start_beside_a_daemon_that_hangs_comes_to_an_end(living, monkeypatch):
    monkeypatch.setattr("charrepl.client.connection.ANSWER_S", 0.2)
    monkeypatch.setattr(control, "_ANSWER_S", 0.1)
    pid = status_of(living)["pid"]
    halt(pid)
    try:
        began = time.monotonic()
        with pytest.raises(
            CharreplError, match=rf"daemon \(pid {pid}\) does not answer: run charrepl-daemon"
        ):
            control.start([])
        assert time.monotonic() - began < DEADLINE_S
    finally:
        os.kill(pid, signal.SIGCONT)
    assert paths.status_file().exists()
