"""Connections that somebody holds without asking, or without reading, end."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable

import pytest

from charrepl.http_server import connections, endpoints, server
from charrepl.http_server.endpoints import Defaults
from tests.charrepl.http_site import all_of
from tests.charrepl.prompt import Bench
from tests.waiting import DEADLINE_S

KEY = "key"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def impatient(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(bench.place / "data"))
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    monkeypatch.setattr(connections, "READ_S", 0.3)
    monkeypatch.setattr(endpoints, "BODY_S", 0.3)


def beside_a_server(bench: Bench, client: Callable[[socket.socket], None]) -> None:
    """Runs a client that has connected to a server; that must be able to answer another one in the end."""

    async def main() -> None:
        with server.listening("127.0.0.1", 0) as opened, socket.socket() as connection:
            serving = asyncio.create_task(
                server.serve(opened, key=KEY, defaults=Defaults(), endpoint=bench.daemon.endpoint)
            )
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(DEADLINE_S)
            while not await healthy(opened):
                pass
            connection.connect(opened.getsockname())
            await asyncio.to_thread(client, connection)
            assert await healthy(opened)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(main())


async def healthy(opened: socket.socket) -> bool:
    """Whether the server has a daemon."""
    reader, writer = await asyncio.open_connection(*opened.getsockname())
    writer.write(HEALTH)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return b"200 OK" in line


def ended(connection: socket.socket) -> bool:
    """Whether the other side ends a connection, which nobody reads from."""
    poll = select.poll()
    poll.register(connection, 0)  # for errors and a hang-up alone
    return bool(poll.poll(DEADLINE_S * 1000))


def test_a_reader_that_stops_is_let_go(live: Bench) -> None:
    def client(connection: socket.socket) -> None:
        try:
            connection.sendall(HEALTH * 20_000)
        except ConnectionError:
            return
        assert ended(connection)

    beside_a_server(live, client)


@pytest.mark.parametrize("begun", [b"", b"POST /infill HTTP/1.1\r\nHost: local", b"GET"])
def test_a_request_that_never_comes_ends_its_connection(live: Bench, begun: bytes) -> None:
    def client(connection: socket.socket) -> None:
        if begun.startswith(b"G"):
            connection.sendall(HEALTH)
            assert connection.recv(4096)
        connection.sendall(begun)
        try:
            while connection.recv(4096):
                pass
        except ConnectionError:
            return

    beside_a_server(live, client)


def test_a_body_that_never_comes_is_told_so(live: Bench) -> None:
    head = f"POST /infill HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"

    def client(connection: socket.socket) -> None:
        connection.sendall(head.encode() + b"Content-Length: 9\r\n\r\n{")
        assert all_of(connection).startswith(b"HTTP/1.1 408 ")

    beside_a_server(live, client)
