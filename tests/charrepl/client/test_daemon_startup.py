"""Starting a daemon: what a program learns when there can be none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from charrepl.client import daemon_startup
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl_daemon.process import process_ids


def test_a_python_that_has_gone_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/gone/python")
    said = r"cannot run /gone/python \(No such file or directory\)"
    with pytest.raises(DaemonUnavailableError, match=said):
        daemon_startup.start()
    with pytest.raises(DaemonUnavailableError, match=said):
        asyncio.run(daemon_startup.start_async())


def test_one_with_whom_many_wait_to_be_let_in_is_there_all_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        assert not daemon_startup.is_listening(f"ipc://{path}")
        listener.listen(0)
        for _ in range(3):
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                other.connect(path)
        assert daemon_startup.is_listening(f"ipc://{path}")
        room = threading.Timer(0.1, lambda: listener.accept()[0].close())
        room.start()
        assert process_ids.listening_at(f"ipc://{path}") == os.getpid()
        room.join()
    assert not daemon_startup.is_listening(f"ipc://{path}")
    assert not daemon_startup.is_listening(f"ipc://{tmp_path}")
    assert not daemon_startup.is_listening(f"ipc://{tmp_path}/none")


@pytest.mark.parametrize(
    "endpoint", ["ipc:///tmp/x", "tcp://host:1", "tcp://127.0.0.1:65535", "tcp://[::1]:7"]
)
def test_an_endpoint_is_a_socket_or_a_host_and_a_port(endpoint: str) -> None:
    assert daemon_startup.checked(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "host:1",
        "tcp://host",
        "tcp://:1",
        "tcp://host:65536",
        "tcp://::1:7",
        "tcp://a b:1",
        "tcp://a:1\n",
        "ipc://x",
    ],
)
def test_what_is_no_endpoint_is_said_in_one_line(endpoint: str) -> None:
    with pytest.raises(CharreplError, match=r"is not an endpoint: give ipc:///PATH or tcp://HOST:PORT"):
        daemon_startup.checked(endpoint)
