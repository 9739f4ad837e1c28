"""Run by systemd: its unit file, and being told when the daemon is ready and when it ends."""

from __future__ import annotations

import configparser
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl_daemon.lifecycle import systemd_service
from charrepl_daemon.process import readiness


def read(unit: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)  # Environment may be repeated
    parser.optionxform = str
    parser.read_string(unit)
    return parser


@contextlib.contextmanager
def systemd(*, abstract: bool = False) -> Iterator[tuple[str, socket.socket]]:
    """The socket at which systemd would listen, and its address as NOTIFY_SOCKET has it."""
    with (
        tempfile.TemporaryDirectory() as place,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening,
    ):
        name = f"@charrepl-test-{os.getpid()}" if abstract else f"{place}/notify"
        listening.bind(name.replace("@", "\0"))
        listening.settimeout(60)
        yield name, listening


def test_systemd_is_told_when_the_daemon_is_ready_and_when_it_ends(home):
    with systemd() as (name, listening):
        daemon = subprocess.Popen(
            [sys.executable, "-m", "charrepl_daemon", "start", "--foreground"],
            env={**os.environ, "NOTIFY_SOCKET": name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert listening.recv(100) == b"READY=1"
            daemon.send_signal(signal.SIGTERM)
            assert listening.recv(100) == b"STOPPING=1"
            said = daemon.communicate(timeout=60)[1]
        finally:
            daemon.kill()
    assert daemon.returncode == 0, said
    assert not paths.status_file().exists()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's own")
def test_systemd_may_listen_at_an_abstract_address(monkeypatch):
    with systemd(abstract=True) as (name, listening):
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        readiness.notify("READY=1")
        assert listening.recv(100) == b"READY=1"


def test_a_daemon_that_is_not_the_services_own_tells_systemd_nothing(home, monkeypatch, daemon_command):
    with systemd() as (name, listening):
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert daemon_command("start").returncode == 0
        assert daemon_command("stop").returncode == 0
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.recv(100)


def test_only_the_main_process_of_a_unit_takes_itself_for_it(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("SYSTEMD_EXEC_PID", raising=False)
    assert readiness.unit() == ""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/user/1000/systemd/notify")
    assert readiness.unit().endswith(".service")
    monkeypatch.setenv("SYSTEMD_EXEC_PID", "1")  # of the service that this shell is in
    assert readiness.unit() == ""
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    assert readiness.unit().endswith(".service")


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "relative", "@" + "x" * 200])
def test_a_systemd_that_does_not_listen_is_no_obstacle(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    readiness.notify("READY=1")


def test_the_unit_starts_this_interpreter_in_these_places(home, daemon_command):
    printed = daemon_command("install-service", "--print", "--model", "./a model", "--cache-mb", "8")
    assert (printed.returncode, printed.stderr) == (0, "")
    found = read(printed.stdout)["Service"]
    command = shlex.split(found["ExecStart"])
    assert command[0] == sys.executable
    assert Path(command[0]).is_absolute()
    assert command[1:6] == ["-P", "-m", "charrepl_daemon", "start", "--foreground"]
    assert command[command.index("--model") + 1] == str(Path("a model").absolute())
    assert command[command.index("--cache-mb") + 1] == "8"
    assert found["Type"] == "notify"
    assert f"Environment=CHARREPL_RUNTIME_DIR={paths.runtime_dir()}\n" in printed.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_understands_the_unit(monkeypatch, tmp_path):
    monkeypatch.setenv("CHARREPL_DATA_DIR", '/a "b"\\c %h $HOME; #d\n\te')
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    units = [tmp_path / name for name in (systemd_service.NAME, systemd_service.SERVE)]
    verify = ["systemd-analyze", "--user", "verify", *map(str, units)]

    def said(*texts: str) -> str:
        for unit, text in zip(units, texts, strict=True):
            unit.write_text(text)
        return subprocess.run(verify, capture_output=True, text=True, check=False).stderr

    text = systemd_service.unit(["--model", "/x y/%n $z", "--metrics-port", "0"])
    serve = systemd_service.serve_unit(8012)
    assert "charrepl" not in said(text, serve)
    assert "Nonsense" in said(text.replace("UMask=", "Nonsense="), serve)
    assert "Nonsense" in said(text, serve.replace("After=", "Nonsense="))


def test_words_are_written_as_systemd_reads_them():
    assert systemd_service._argument("plain/path-1.0") == "plain/path-1.0"
    assert systemd_service._argument("") == '""'
    assert systemd_service._argument('a "b" \\c') == '"a \\"b\\" \\\\c"'
    assert systemd_service._argument("50% of $HOME") == '"50%% of $$HOME"'
    assert systemd_service._quoted("A=$B") == "A=$B"
    assert systemd_service._quoted("A=b\n\tc") == '"A=b\\n\\tc"'
    for word in ("\x1b[m", "caf\udce9"):
        with pytest.raises(CharreplError, match="UTF-8, without control characters"):
            systemd_service._quoted(word)


def test_the_unit_keeps_what_decides_places_devices_and_numbers(monkeypatch):
    for name in list(os.environ):
        if systemd_service._KEPT.fullmatch(name):
            monkeypatch.delenv(name)
    kept = {
        "CHARREPL_DATA_DIR": '/50% of "it"',
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/home/of mine",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": "/opt/lib",
        "XDG_CONFIG_HOME": "/conf\nig",
        "XDG_DATA_HOME": "/data",
        "XDG_RUNTIME_DIR": "/run/user/7",
        "XLA_FLAGS": "--a=1 --b=2",
    }
    others = {
        "XDG_SESSION_ID": "3",
        "LANG": "C",
        "DISPLAY": ":0",
        "PYTHONINSPECT": "1",
        "NOTIFY_SOCKET": "/x",
    }
    for name, value in {**kept, **others}.items():
        monkeypatch.setenv(name, value)
    lines = [line for line in systemd_service.unit([]).splitlines() if line.startswith("Environment=")]
    assert lines == [
        'Environment="CHARREPL_DATA_DIR=/50%% of \\"it\\""',
        "Environment=CUDA_VISIBLE_DEVICES=1",
        'Environment="HOME=/home/of mine"',
        "Environment=JAX_PLATFORMS=cpu",
        "Environment=PYTHONPATH=/opt/lib",
        "Environment=PYTHONUTF8=1",
        'Environment="XDG_CONFIG_HOME=/conf\\nig"',
        "Environment=XDG_DATA_HOME=/data",
        "Environment=XDG_RUNTIME_DIR=/run/user/7",
        'Environment="XLA_FLAGS=--a=1 --b=2"',
    ]


@pytest.fixture
def with_systemctl(home, monkeypatch) -> Path:
    """Where the unit goes, on a machine that has systemd; it is never called."""
    bin_dir = home / "bin"
    bin_dir.mkdir()
    (bin_dir / "systemctl").write_text("#!/bin/false\n")
    (bin_dir / "systemctl").chmod(0o700)
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    return systemd_service.file()


def test_installing_says_what_to_run_and_may_be_repeated(with_systemctl, daemon_command):
    for cache_mb in ("16", "32"):
        installed = daemon_command("install-service", "--cache-mb", cache_mb)
        assert (installed.returncode, installed.stderr) == (0, "")
        assert installed.stdout == (
            f"Wrote {with_systemctl}. To start it now and at each login:\n"
            "  systemctl --user daemon-reload\n"
            "  systemctl --user enable --now charrepl-daemon.service\n"
        )
        assert f"--cache-mb {cache_mb} " in with_systemctl.read_text()
    assert list(with_systemctl.parent.iterdir()) == [with_systemctl]


def test_the_server_for_editors_is_run_beside_the_daemon(with_systemctl, daemon_command):
    installed = daemon_command("install-service", "--serve", "8099", "--cache-mb", "16")
    assert (installed.returncode, installed.stderr) == (0, "")
    serve = systemd_service.file(systemd_service.SERVE)
    assert installed.stdout == (
        f"Wrote {with_systemctl} and {serve}. To start them now and at each login:\n"
        "  systemctl --user daemon-reload\n"
        "  systemctl --user enable --now charrepl-daemon.service charrepl-serve.service\n"
    )
    found = read(serve.read_text())
    assert shlex.split(found["Service"]["ExecStart"])[-3:] == ["serve", "--port", "8099"]
    assert found["Unit"]["After"] == "charrepl-daemon.service"
    assert "--cache-mb 16 " in with_systemctl.read_text()
    printed = daemon_command("install-service", "--print", "--serve")
    assert printed.stdout.count("[Unit]") == 2 and " serve --port 8012\n" in printed.stdout


@pytest.mark.parametrize("kind", ["file", "mask"])
def test_anothers_unit_is_left_alone_unless_forced(with_systemctl, daemon_command, kind):
    with_systemctl.parent.mkdir(parents=True)
    if kind == "file":
        with_systemctl.write_text("[Service]\nExecStart=/bin/mine\n")
    else:
        with_systemctl.symlink_to("/dev/null")  # as `systemctl mask` does
    refused = daemon_command("install-service")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: {with_systemctl} was not written by this command: --force replaces it\n"
    )
    assert "charrepl" not in with_systemctl.read_text()
    assert daemon_command("install-service", "--force").returncode == 0
    assert not with_systemctl.is_symlink()
    assert "ExecStart" in with_systemctl.read_text()


def test_without_systemd_it_says_what_to_do_instead(home, monkeypatch, daemon_command):
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    refused = daemon_command("install-service")
    assert refused.returncode == 1
    assert "charrepl-daemon start" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (home / "xdg").exists()


@pytest.mark.parametrize("port", ["0.0.0.0:9000", "http"])
def test_a_service_that_could_not_start_is_not_installed(with_systemctl, daemon_command, port):
    refused = daemon_command("install-service", "--metrics-port", port)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert not with_systemctl.exists()
