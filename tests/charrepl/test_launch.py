"""Starting a daemon: what a program learns when there can be none."""

from __future__ import annotations

import asyncio
import sys

import pytest

from charrepl import launch
from charrepl.errors import CharreplError, DaemonUnavailableError


def test_a_python_that_has_gone_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/gone/python")
    said = r"cannot run /gone/python \(No such file or directory\)"
    with pytest.raises(DaemonUnavailableError, match=said):
        launch.start()
    with pytest.raises(DaemonUnavailableError, match=said):
        asyncio.run(launch.start_async())


@pytest.mark.parametrize(
    "endpoint", ["ipc:///tmp/x", "tcp://host:1", "tcp://127.0.0.1:65535", "tcp://[::1]:7"]
)
def test_an_endpoint_is_a_socket_or_a_host_and_a_port(endpoint: str) -> None:
    assert launch.checked(endpoint) == endpoint


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
    with pytest.raises(CharreplError, match=r"is no endpoint: give ipc:///PATH or tcp://HOST:PORT"):
        launch.checked(endpoint)
