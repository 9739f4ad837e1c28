"""Ends connections of clients that send no request, or read no answer."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0  # for a request to be there, from its first byte to the last of its headers
READ_S = 10.0  # for a reader to make room, once what is sent to it is stuck


class _OnePiece:
    """A transport that sends an answer at once.

    uvicorn writes the head and the body of an answer apart: two system calls, and a client that wakes twice.
    What ends a body of known length is an empty piece. Of others, what is written in one turn of the event
    loop is sent.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not data:
            self._send()
            return
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._transport.write(b"".join(pieces))


class BoundedConnection(H11Protocol):
    """One connection. uvicorn bounds the length of headers and idle ones; here is the rest."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(_OnePiece(transport, self.loop))
        self._let_go: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if self._let_go is None and (before is None or before.response_complete):
            self._expect_request()  # the next one begins
        super().data_received(data)
        if self.cycle is not before:
            self._let_go = _cancelled(self._let_go)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self._stuck or self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck = _cancelled(self._stuck)

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go, self._stuck = _cancelled(self._let_go), _cancelled(self._stuck)
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._let_go = self.loop.call_later(REQUEST_S, self.transport.abort)


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None


def settings() -> dict[str, Any]:
    """What of uvicorn's own bounds and habits are ours."""
    return {
        "http": BoundedConnection,
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "off",
        "log_config": None,
        "log_level": "critical",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": 512,
        "h11_max_incomplete_event_size": 32 << 10,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 2,
    }
