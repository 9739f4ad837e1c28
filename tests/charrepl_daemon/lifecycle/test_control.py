"""The daemon's life: one at a time, whatever was left behind, and a reason when it cannot be."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner

from charrepl.cli.main import main
from charrepl.client import Client
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.system import paths
from charrepl.writing.daemon_link import DaemonLink
from charrepl_daemon.lifecycle import control
from charrepl_daemon.process import readiness, status_file
from tests.waiting import DEADLINE_S, until


def pid_of(daemon) -> int:
    return json.loads(daemon("status", "--json").stdout)["pid"]


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


def test_restart_is_a_new_process(living):
    before = pid_of(living)
    assert living("restart").returncode == 0
    assert pid_of(living) != before


def test_it_serves_in_the_precision_it_was_started_with_and_says_so(daemon_command):
    assert daemon_command("start", "--precision", "int8").returncode == 0
    assert re.search(r"\bint8\b", daemon_command("status").stdout)
    (model,) = json.loads(daemon_command("status", "--json").stdout)["models"]
    assert model["precision"] == "int8"
    assert model["precision_costs_nats"] > 0


def test_only_its_owner_can_enter_its_places(living):
    for file in (paths.status_file(), paths.lock_file(), paths.log_file()):
        assert file.stat().st_mode & 0o077 == 0, file
    assert paths.runtime_dir().stat().st_mode & 0o777 == 0o700
    assert Path(paths.endpoint().removeprefix("ipc://")).stat().st_mode & 0o077 == 0
    assert paths.compilation_cache_dir().stat().st_mode & 0o077 == 0


def test_the_log_never_holds_what_was_typed(living):
    with Client() as client:
        client.complete("a most private sentence")
        "".join(client.sample("another private sentence", max_chars=20))
    logged = living("logs").stdout
    assert "started" in logged
    assert "private" not in logged


@pytest.mark.parametrize("count", [2, 20])
def test_starts_at_once_make_one_daemon(shared_home, count):
    control.stop()
    starts = [
        subprocess.Popen(
            [sys.executable, "-m", "charrepl_daemon", "start"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    said = [start.communicate(timeout=240)[0] for start in starts]
    assert all(start.returncode == 0 for start in starts)
    assert len({line.split()[-1] for line in said}) == 1  # the same pid
    assert sum(line.startswith("Ready") for line in said) == 1
    with Client(autostart=False) as client:
        assert client.complete("every").text


def test_a_start_that_comes_second_to_one_whose_daemon_ends_at_once_starts_its_own(shared_home, monkeypatch):
    control.stop()
    other = filelock.FileLock(paths.lock_file(), mode=0o600)
    settled, said = control._settled, []

    def taken_at_once(deadline: float) -> status_file.RunningDaemon | None:
        found = settled(deadline)
        if not said:
            other.acquire()
        return found

    def read_line(descriptor: int, timeout_s: float) -> str | None:
        said.append(readiness.read_line(descriptor, timeout_s))
        other.release()
        return said[-1]

    monkeypatch.setattr(control, "_settled", taken_at_once)
    started, popen = [], subprocess.Popen

    def child(*arguments, **options) -> subprocess.Popen:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(control, "read_line", read_line)
    monkeypatch.setattr(subprocess, "Popen", child)
    assert control.start([])[0] == "started"
    assert said == [readiness.TAKEN, readiness.READY]
    assert control.stop().pid == started[-1].pid
    assert [ended.wait(DEADLINE_S) for ended in started] == [1, 0]


def test_a_socket_a_status_and_a_lock_file_of_nobody_are_no_obstacle(shared_home, command):
    control.stop()
    paths.lock_file().write_text("1")
    with socket.socket(socket.AF_UNIX) as stale:
        Path(paths.endpoint().removeprefix("ipc://")).unlink(missing_ok=True)
        stale.bind(paths.endpoint().removeprefix("ipc://"))
    paths.status_file().write_text('{"pid": 1, "endpoint": "ipc:///nowhere"}')
    assert command("stop").stdout == "No daemon was running.\n"
    assert command("start").returncode == 0
    with Client(autostart=False) as client:
        assert client.complete("every").text
        assert client.status()["predecessor"]["pid"] == 1


@pytest.mark.parametrize("name", ["daemon.lock", "daemon.sock"])
def test_a_directory_in_the_place_of_a_file_is_named_in_one_line(shared_home, command, name):
    control.stop()
    file = paths.runtime_dir() / name
    file.unlink(missing_ok=True)
    file.mkdir()
    try:
        started = command("start")
        assert started.returncode == 1
        assert str(file) in started.stderr
        assert started.stderr.startswith("Error: ")
        assert started.stderr.count("\n") == 1
    finally:
        file.rmdir()


def test_a_status_file_that_is_damaged_does_not_matter(living):
    paths.status_file().write_bytes(b"\xff{")
    assert living("status").returncode == 0
    assert living("stop").returncode == 0


def test_what_is_typed_goes_nowhere_that_others_can_listen(living):
    place = paths.runtime_dir()
    place.chmod(0o770)
    try:
        with pytest.raises(CharreplError, match=f"{place} is open to other users: run chmod 700"):
            Client()
        said = living("status")
        assert (said.returncode, said.stderr.count("\n")) == (1, 1)
        assert "run chmod 700" in said.stderr
    finally:
        place.chmod(0o700)
    with Client(autostart=False) as client:
        assert client.complete("every").text


def test_a_client_that_was_there_before_the_directory_sends_nothing_into_one_of_another(home):
    """The directory is looked at wherever a connection is made, not once."""
    with Client(autostart=False) as client:
        place = paths.runtime_dir()
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place / "daemon.sock"))
            listener.listen()
            listener.setblocking(False)
            with pytest.raises(CharreplError, match=f"{place} is open to other users"):
                client.complete("a most private sentence")
            with pytest.raises(BlockingIOError):  # nobody so much as connected
                listener.accept()


def test_another_local_user_can_neither_reach_the_socket_nor_be_led_to_it(living):
    if os.geteuid():
        pytest.skip("only root can become another user")
    place = paths.runtime_dir()
    code = (
        "import os, socket, sys\n"
        "from charrepl.client import Client\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "except PermissionError: print('refused')\n"
        "try: Client(autostart=False).status()\n"
        "except Exception as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(place / "daemon.sock")]
    for mode in (0o700, 0o711, 0o755):  # the socket itself is closed to others too
        place.chmod(mode)
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=True)
        finally:
            place.chmod(0o700)
        refused, why = found.stdout.splitlines()
        assert refused == "refused"
        assert why.startswith(f"{place} belongs to user 0, not to you")
    with Client(autostart=False) as client:
        assert client.complete("every").text


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
def test_a_broken_model_is_named_in_one_line_and_the_others_serve(living, model_dir, tmp_path, spoil):
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    spoil(broken)
    with Client(model=str(broken)) as client:
        with pytest.raises(CharreplError) as refused:
            client.complete("every")
        assert str(broken) in str(refused.value)
        (told,) = (f for f in client.status()["faults"]["not_loaded"] if f["path"] == str(broken))
    assert told["reason"] == str(refused.value)
    with Client(model="kettle") as client:
        assert client.complete("every").text


def test_a_start_with_a_broken_model_says_so_and_leaves_nothing_running(home, daemon_command):
    model = home / "models" / "kettle"
    truncate_weights(model)
    started = daemon_command("start", "--model", str(model))
    assert started.returncode == 1
    assert started.stderr.startswith("Error: ")
    assert started.stderr.count("\n") == 1
    assert str(model) in started.stderr
    assert control.running() is None
    assert status_file.left_behind() is None  # it did not crash


def test_a_default_model_that_cannot_be_loaded_keeps_no_other_from_answering(home, daemon_command, model_dir):
    spoilt = shutil.copytree(model_dir, home / "models" / "spoilt")
    (spoilt / "run.json").write_text('{"finished": true, "completed_at": 9e9}')
    garble_config(spoilt)  # as one of a newer version is, to this one
    assert daemon_command("start").returncode == 0
    scored = CliRunner().invoke(main, ["score", "-"], input="every cup is warm")
    assert scored.exit_code == 0
    note = f"Note: spoilt cannot be loaded, so kettle answers: {spoilt}/config.toml: line 2: unknown setting"
    assert scored.stderr.startswith(note)
    assert scored.stderr.count("\n") == 1
    assert asyncio.run(asked_by_a_prompt()) == ("kettle", [ANNOUNCED, scored.stderr[6:-1]])
    listed = CliRunner().invoke(main, ["models"])
    assert "* kettle" in listed.stdout
    assert listed.stderr.startswith(note)
    with Client() as client:
        shutil.copy(model_dir / "config.toml", spoilt)  # mended, and then spoilt otherwise, while it runs
        until(lambda: client.models().default == "spoilt")
        assert client.models().notice == ""
        truncate_weights(spoilt)
        assert client.complete("every cup is wa").text
        assert client.models().default == "kettle"
        shutil.rmtree(spoilt)
        until(lambda: not client.models().notice)


ANNOUNCED = "charrepl opens spoilt now, trained last: /model kettle goes back"


async def asked_by_a_prompt() -> tuple[str, list[str]]:
    """The model that answers a prompt which was told none, and what it says of that."""
    link, notices = DaemonLink(model=""), []
    link.noticed = notices.append
    keeping = asyncio.create_task(link.keep(None))
    while not link.ready:
        await asyncio.sleep(0.01)
    assert [reply.final async for reply in link.complete("every cup is wa", 0)][-1]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return link.model, notices


def test_help_needs_neither_jax_nor_a_socket():
    code = "import sys; from charrepl_daemon.cli.main import main\n"
    code += "try: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'jax', 'zmq', 'flax'} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_daemon_does_without_what_only_training_needs():
    code = "import sys, charrepl_daemon.serving.server; "
    code += "assert not {'flax', 'optax', 'rich'} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
