"""Answers `GET /metrics` on a loopback port, and nothing else: for Prometheus, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from charrepl.errors import CharreplError, reason
from charrepl.system import loopback

log = logging.getLogger(__name__)

_MOST_BYTES = 8192  # of a request's head
_MOST_S = 5.0  # that a connection may take in all
_MOST_CONNECTIONS = 16
_END = b"\r\n\r\n"


def parse(where: str) -> tuple[str, int]:
    """The host and port of `PORT` or `HOST:PORT`.

    Raises CharreplError if it is neither, or the host is not this machine's own loopback.
    """
    host, _, port = where.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise CharreplError(f"{where!r} is not a port for metrics: give 0 to 65535; 0 chooses a free one")
    address = loopback.address(host)
    if address is None:
        raise CharreplError(
            f"metrics are served on loopback only, not on {host}: give the port alone, "
            "and let a proxy or a tunnel of yours pass them on"
        )
    return address, int(port)


def check(where: str, *, own: str = "") -> None:
    """Returns if metrics can be served there, or are already at the address `own`.

    Raises CharreplError as `serving` does.
    """
    host, port = parse(where)
    if port and own == f"{loopback.url(host, port)}/metrics":
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        raise _refused(host, port, error) from None


def _refused(host: str, port: int, error: OSError) -> CharreplError:
    # asyncio puts it in other words, and repeats the address.
    why = os.strerror(error.errno) if error.errno else reason(error)
    return CharreplError(f"cannot serve metrics on {host} port {port}: {why}; choose another, or 0")


@contextlib.asynccontextmanager
async def serving(where: str, body: Callable[[], tuple[str, bytes]]) -> AsyncIterator[str]:
    """Serves while the context lasts. Yields the address. `body` returns the content type and the body.

    Raises CharreplError if `where` is not a loopback address, or the port is not available.
    """
    host, port = parse(where)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(connections) < _MOST_CONNECTIONS:
                connections.add(task)
                async with asyncio.timeout(_MOST_S):
                    await _converse(reader, writer, body)
        except (OSError, TimeoutError):
            pass  # the client's loss
        finally:
            connections.discard(task)
            writer.transport.abort()  # what had to arrive did: `_converse` waits for it

    try:
        # Not reuse_port: another program must not share the port unnoticed.
        server = await asyncio.start_server(connected, host, port, limit=_MOST_BYTES, backlog=32)
    except OSError as error:
        raise _refused(host, port, error) from None
    name, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"{loopback.url(name, port)}/metrics"
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: Callable[[], tuple[str, bytes]]
) -> None:
    """Reads one request, answers it, and waits until the client has the answer."""
    try:
        head = await reader.readuntil(_END)
    except asyncio.LimitOverrunError:
        head = None
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return  # a port scan, or a client that changed its mind
        head = error.partial
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if head is None else _judge(head)
    kind, content = "text/plain; charset=utf-8", f"{status.value} {status.phrase}\n".encode()
    if status == HTTPStatus.OK:
        try:
            kind, content = body()
        except Exception:  # a bug in the figures must not end the daemon
            log.exception("the metrics could not be given")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            content = b"500 Internal Server Error: see charrepl-daemon logs\n"
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        "X-Content-Type-Options: nosniff",
        *(["Allow: GET"] if status == HTTPStatus.METHOD_NOT_ALLOWED else []),
    ]
    writer.write("\r\n".join(lines).encode() + _END + content)
    writer.write_eof()
    # Closing with something unread would discard the answer on its way.
    for _ in range(_MOST_BYTES):
        if not await reader.read(_MOST_BYTES):
            return


def _judge(head: bytes) -> HTTPStatus:
    """What to answer to a request's head."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if not head.endswith(_END) or len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return HTTPStatus.BAD_REQUEST
    method, target, _ = words
    if target.partition(b"?")[0] != b"/metrics":
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.OK if method == b"GET" else HTTPStatus.METHOD_NOT_ALLOWED
