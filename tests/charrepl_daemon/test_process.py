"""The daemon's life: one at a time, whatever was left behind, and a reason when it cannot be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from charrepl import paths
from charrepl.client import Client
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl_daemon import process, record


def pid_of(daemon) -> int:
    return json.loads(daemon("status", "--json").stdout)["pid"]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert process._wait_unlocked(10)


def test_start_status_stop(daemon_command):
    started = daemon_command("start")
    assert (started.returncode, started.stderr) == (0, "")
    pid = pid_of(daemon_command)
    assert started.stdout == f"Ready, pid {pid}.\n"
    again = daemon_command("start")
    assert (again.returncode, again.stdout) == (0, f"Already running, pid {pid}.\n")
    status = daemon_command("status")
    assert f"pid {pid}" in status.stdout
    assert "kettle" in status.stdout
    assert daemon_command("stop").stdout == f"Stopped, pid {pid}.\n"
    assert not Path(paths.endpoint().removeprefix("ipc://")).exists()
    assert not paths.status_file().exists()


def test_without_a_daemon_status_fails_and_stop_does_not(daemon_command):
    status, stop = daemon_command("status"), daemon_command("stop")
    assert (status.returncode, status.stdout) == (1, "")
    assert status.stderr == "Error: no daemon is running: start it with charrepl-daemon start\n"
    assert (stop.returncode, stop.stdout) == (0, "No daemon was running.\n")


def test_restart_is_a_new_process(daemon):
    before = pid_of(daemon)
    assert daemon("restart").returncode == 0
    assert pid_of(daemon) != before


def test_it_serves_in_the_precision_it_was_started_with_and_says_so(daemon_command):
    assert daemon_command("start", "--precision", "int8").returncode == 0
    assert re.search(r"\bint8\b", daemon_command("status").stdout)
    (model,) = json.loads(daemon_command("status", "--json").stdout)["models"]
    assert model["precision"] == "int8"
    assert model["precision_costs_nats"] > 0


def test_only_its_owner_can_enter_its_places(daemon):
    for file in (paths.status_file(), paths.lock_file(), paths.log_file()):
        assert file.stat().st_mode & 0o077 == 0, file
    assert paths.runtime_dir().stat().st_mode & 0o777 == 0o700
    assert Path(paths.endpoint().removeprefix("ipc://")).stat().st_mode & 0o077 == 0
    assert paths.compilation_cache_dir().stat().st_mode & 0o077 == 0


def test_the_log_never_holds_what_was_typed(daemon):
    with Client() as client:
        client.complete("a most private sentence")
        "".join(client.sample("another private sentence", max_chars=20))
    logged = daemon("logs").stdout
    assert "started" in logged
    assert "private" not in logged


@pytest.mark.parametrize("count", [2, 5])
def test_starts_at_once_make_one_daemon(home, count):
    starts = [
        subprocess.Popen(
            [sys.executable, "-m", "charrepl_daemon", "start"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    said = [start.communicate(timeout=120)[0] for start in starts]
    assert all(start.returncode == 0 for start in starts)
    assert len({line.split()[-1] for line in said}) == 1  # the same pid
    assert sum(line.startswith("Ready") for line in said) == 1


def test_what_a_killed_daemon_left_behind_is_no_obstacle(daemon):
    kill(pid_of(daemon))
    assert paths.status_file().exists()
    assert Path(paths.endpoint().removeprefix("ipc://")).exists()
    assert daemon("status").returncode == 1
    assert daemon("start").returncode == 0
    with Client(autostart=False) as client:
        assert client.complete("every").text


def test_a_socket_and_a_status_file_of_nobody_are_no_obstacle(home, daemon_command):
    paths.private_dir(paths.runtime_dir())
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(paths.endpoint().removeprefix("ipc://"))
    paths.status_file().write_text('{"pid": 1, "endpoint": "ipc:///nowhere"}')
    assert daemon_command("stop").stdout == "No daemon was running.\n"
    assert daemon_command("start").returncode == 0


def test_a_status_file_that_is_damaged_does_not_matter(daemon):
    paths.status_file().write_bytes(b"\xff{")
    assert daemon("status").returncode == 0
    assert daemon("stop").returncode == 0


def test_a_hung_daemon_is_stopped_all_the_same(daemon, monkeypatch):
    pid = pid_of(daemon)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(process, "_ANSWER_S", 0.2)
    monkeypatch.setattr(process, "_KILL_AFTER_S", 0.2)
    stopped = process.stop()
    assert stopped is not None
    assert stopped.pid == pid
    assert process.running() is None
    told = record.left_behind()
    assert told is not None
    assert str(told).startswith(f"pid {pid}, was killed by charrepl-daemon stop, which it did not answer;")


def test_sigterm_answers_what_is_in_flight(daemon):
    pid = pid_of(daemon)
    with Client() as client:
        passage = client.sample("COOK:\n", max_chars=300)
        text = next(passage)
        os.kill(pid, signal.SIGTERM)
        assert len(text + "".join(passage)) == 300
    assert process._wait_unlocked(10)


def test_a_passage_too_long_to_finish_is_told_so_when_the_daemon_stops(daemon):
    pid = pid_of(daemon)
    with Client() as client:
        passage = client.sample("COOK:\n", max_chars=1_000_000)
        next(passage)
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(CharreplError, match="the daemon was stopped: ask again"):
            for _ in passage:
                pass
    assert process._wait_unlocked(10)


def test_a_client_started_daemon_leaves_when_idle(daemon_command):
    assert daemon_command("start", "--idle-minutes", "0.001").returncode == 0
    assert process._wait_unlocked(20)
    assert "leaving" in daemon_command("logs").stdout


def test_a_client_starts_a_daemon_where_there_is_none(home):
    with Client() as client:
        assert client.complete("every").text


def test_a_client_finds_the_daemon_after_the_one_that_died(daemon):
    with Client() as client:
        before = client.complete("every cup").text
        kill(pid_of(daemon))
        assert client.complete("every cup").text == before


def test_without_a_daemon_the_client_says_how_to_start_one(home):
    with (
        Client(autostart=False) as client,
        pytest.raises(DaemonUnavailableError, match="charrepl-daemon start"),
    ):
        client.status()


def make_symlink(place: Path) -> str:
    real = place.with_name(place.name + "-real")
    real.mkdir(mode=0o700)
    place.rmdir()
    place.symlink_to(real)
    return "is a symlink"


def open_to_the_group(place: Path) -> str:
    place.chmod(0o770)
    return "is open to other users"


def give_to_another(place: Path) -> str:
    if os.geteuid():
        pytest.skip("only root can give a directory to another user")
    os.chown(place, 65534, 65534)
    return "belongs to user 65534"


def make_a_file(place: Path) -> str:
    place.rmdir()
    place.write_text("")
    return "is not a directory"


def make_too_long(place: Path) -> str:
    os.environ["CHARREPL_RUNTIME_DIR"] = str(place / ("x" * 110))  # monkeypatch in `home` undoes it
    return "too long for a Unix socket"


@pytest.mark.parametrize(
    "spoil", [make_symlink, open_to_the_group, give_to_another, make_a_file, make_too_long]
)
def test_an_unsafe_runtime_directory_is_refused(home, daemon_command, spoil):
    place = paths.runtime_dir()
    reason = spoil(place)
    try:
        started = daemon_command("start")
        assert started.returncode == 1
        assert reason in started.stderr
        assert started.stderr.startswith("Error: ")
        assert started.stderr.count("\n") == 1
    finally:
        if place.is_symlink() or place.is_file():
            place.unlink()


def remove_checkpoint(model: Path) -> None:
    shutil.rmtree(model / "checkpoints")


def truncate_weights(model: Path) -> None:
    (best,) = (model / "checkpoints").glob("best-*")
    biggest = max((f for f in best.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    os.truncate(biggest, biggest.stat().st_size // 2)


def remove_metadata(model: Path) -> None:
    for file in (model / "checkpoints").rglob("_METADATA"):
        file.unlink()


def remove_vocabulary(model: Path) -> None:
    (model / "vocab.json").unlink()


def shrink_vocabulary(model: Path) -> None:
    (model / "vocab.json").write_text('{"characters": "\\nabc"}')


def change_shape(model: Path) -> None:
    config = model / "config.toml"
    config.write_text(config.read_text().replace("hidden_size = 24", "hidden_size = 25"))


def garble_config(model: Path) -> None:
    (model / "config.toml").write_text("[model]\nhiden_size = 24\n")


@pytest.mark.parametrize(
    "spoil",
    [
        remove_checkpoint,
        truncate_weights,
        remove_metadata,
        remove_vocabulary,
        shrink_vocabulary,
        change_shape,
        garble_config,
    ],
)
def test_a_broken_model_is_named_in_one_line_and_nothing_is_left_running(home, daemon_command, spoil):
    model = home / "models" / "kettle"
    spoil(model)
    started = daemon_command("start", "--model", str(model))
    assert started.returncode == 1
    assert started.stderr.startswith("Error: ")
    assert started.stderr.count("\n") == 1
    assert str(model) in started.stderr
    assert process.running() is None
    assert record.left_behind() is None  # it did not crash


def test_a_broken_model_leaves_the_others_serving(daemon, home):
    broken = home / "models" / "broken"
    shutil.copytree(home / "models" / "kettle", broken)
    truncate_weights(broken)
    with Client(model="broken") as client, pytest.raises(Exception, match="damaged"):
        client.complete("every")
    with Client(model="kettle") as client:
        assert client.complete("every").text


def test_reload_takes_up_the_new_weights_and_keeps_the_old_where_they_are_broken(daemon, home):
    model = home / "models" / "kettle"
    digest = json.loads(daemon("status", "--json").stdout)["models"][0]["digest"]
    truncate_weights(model)
    refused = daemon("reload", "kettle")
    assert refused.returncode == 1
    assert "damaged" in refused.stderr
    with Client(model="kettle") as client:
        assert client.complete("every").text
    assert json.loads(daemon("status", "--json").stdout)["models"][0]["digest"] == digest


def test_a_log_that_cannot_be_written_is_no_obstacle(home, daemon_command):
    (home / "logs").write_text("not a directory")
    assert daemon_command("start").returncode == 0
    with Client(autostart=False) as client:
        assert client.complete("every").text


def test_help_needs_neither_jax_nor_a_socket():
    code = (
        "import sys; from charrepl_daemon.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    )
    code += "assert not {'jax', 'zmq', 'flax'} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
