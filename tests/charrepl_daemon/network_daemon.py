"""A daemon that listens to other machines, and what its tests share."""

from __future__ import annotations

import re
import socket

import pytest

from charrepl.client import Client
from charrepl.errors import CharreplError
from tests.charrepl_daemon.network_machine import Machine


class Site:
    """A daemon that listens, and the machine it runs on."""

    def __init__(self, server: Machine, endpoint: str) -> None:
        self.server = server
        self.endpoint = endpoint
        self.port = int(endpoint.rpartition(":")[2])


def listen(server: Machine) -> Site:
    started = server.daemon("start", "--endpoint", "tcp://127.0.0.1:0")
    assert started.returncode == 0, started.stderr
    found = re.search(r"Listening on (tcp://127\.0\.0\.1:\d+) for .*owner\. ", started.stdout)
    assert found, started.stdout
    assert f"charrepl-daemon trust tcp://{socket.gethostname()}:" in started.stdout
    return Site(server, found[1])


def said(machine: Machine, endpoint: str, **options) -> CharreplError:
    """What a client on a machine is told."""
    with machine.here(), Client(endpoint=endpoint) as client, pytest.raises(CharreplError) as refused:
        client.complete("every")
    assert "\n" not in str(refused.value)
    return refused.value
