"""File descriptors: as many as the system gives, and what is done before they run out.

Without any left, ZeroMQ aborts the process when somebody connects to an ipc socket: its listener takes
every error of `accept` but a few for a bug, and EMFILE is not among the few (libzmq 4.3.5, ipc_listener.cpp).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import zmq
from zmq.utils.monitor import parse_monitor_message

from charrepl.errors import CharreplError, reason
from charrepl_daemon.sockets.router import Router

log = logging.getLogger(__name__)

_WANTED = 10_240  # what macOS allows at most, and more than ever needed
_LOOK_EVERY = 16  # connections
_CLOSED_S = 0.5  # what ZeroMQ's own thread may take to close a listener
_AGAIN_S = 0.5


def raise_limit() -> int:
    """How many file descriptors this process may have, having asked for as many as the system gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _WANTED if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("no more than %d file descriptors: %s", soft, reason(error))
        return soft
    return wanted


def in_use() -> int:
    """How many file descriptors are open; 0 where the system does not tell."""
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError as error:
        return _WANTED if error.errno in (errno.EMFILE, errno.ENFILE) else 0


class Endpoint(Protocol):
    """Where a socket can listen, as often as it is told to."""

    endpoint: str

    def bind(self, owner: zmq.Socket[Any]) -> None:
        """Listens. Raises CharreplError or zmq.ZMQError if it cannot."""

    def unbind(self, owner: zmq.Socket[Any]) -> None:
        """Ends listening, and every connection."""


class ConnectionLimit:
    """The connections to a listening socket, all closed when they leave too few file descriptors.

    ZeroMQ can end connections only by no longer listening, and then all of them end. Clients that are still
    there come back by themselves, as after every lost connection. Strangers who only held one open do not.
    """

    def __init__(
        self,
        socket: Router,
        name: str,
        *,
        most: int,
        accepted: Callable[[int], None],
        closed: Callable[[], None],
    ) -> None:
        """If more than `most` descriptors are open at a new connection, all end, and `closed` is called.

        `accepted` is told the descriptor of each.
        """
        self._socket = socket
        self._name = name
        self._most = most
        self._accepted = accepted
        self._closed = closed
        address = f"inproc://charrepl.{name}"
        self._monitor = socket.context.socket(zmq.PAIR)
        self._monitor.setsockopt(zmq.RCVHWM, 0)  # ZeroMQ's thread would wait for us to make room
        socket.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_CLOSED)
        self._monitor.connect(address)

    async def watch(self, endpoint: Endpoint) -> None:
        """Keeps the socket, which listens at `endpoint`, from taking too many; runs until cancelled."""
        accepted = 0
        while True:
            await asyncio.sleep(0)  # a client that connects without pause must not keep others waiting
            if await self._event() != zmq.EVENT_ACCEPTED:
                continue
            accepted += 1
            if accepted % _LOOK_EVERY or in_use() < self._most:
                continue
            log.warning("too many connections from %s: closing them all", self._name)
            self._closed()
            endpoint.unbind(self._socket)
            await self._listen_again(endpoint)

    async def _listen_again(self, endpoint: Endpoint) -> None:
        try:
            # A port is free once it is closed, which is done on ZeroMQ's own thread.
            async with asyncio.timeout(_CLOSED_S):
                while await self._event() != zmq.EVENT_CLOSED:
                    pass
        except TimeoutError:
            log.warning("the listener on %s is slow to close", endpoint.endpoint)
        while True:
            try:
                endpoint.bind(self._socket)
                return
            except (CharreplError, zmq.ZMQError) as error:
                log.warning("cannot listen on %s yet: %s", endpoint.endpoint, reason(error))
                await asyncio.sleep(_AGAIN_S)

    async def _event(self) -> int:
        told = parse_monitor_message(await self._monitor.recv_multipart())
        if told["event"] == zmq.EVENT_ACCEPTED:
            self._accepted(told["value"])
        event: int = told["event"]
        return event

    def close(self) -> None:
        """Stops looking. Call it before the socket is closed."""
        self._socket.disable_monitor()
        self._monitor.close()
