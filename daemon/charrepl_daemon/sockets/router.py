"""A listening socket that the event loop reads, and that any thread may send through.

The thread that has computed a piece sends it. With sockets of `zmq.asyncio`, the event loop would have to
send it. We would wait until the loop wakes up and gets the interpreter, while all cores compute the next
piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import zmq

from charrepl.wire import protocol

_LINGER_MS = 200
_HARD_FRAME_LIMIT = 2 * protocol.MAX_FRAME_BYTES  # ZeroMQ drops clients that send more; below, we answer
_MOST_RECEIVED = 16  # messages of a connection that ZeroMQ holds for us; it does not count bytes
_MOST_SENT = 64  # and for a client: the rest waits in the outbox, which does


class Router(zmq.Socket[bytes]):
    """A ROUTER of a context, read by one event loop."""

    # zmq takes every name that is not here for an option.
    _lock: threading.Lock
    _loop: asyncio.AbstractEventLoop | None = None
    _readable: asyncio.Event
    _descriptor: int

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._lock = threading.Lock()  # a socket of ZeroMQ's is for one thread at a time
        super().__init__(context, zmq.ROUTER)
        self.linger = _LINGER_MS
        # Without this a reply to a client that has left vanishes, and its job computes on.
        self.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.setsockopt(zmq.MAXMSGSIZE, _HARD_FRAME_LIMIT)
        self.setsockopt(zmq.SNDHWM, _MOST_SENT)
        self.setsockopt(zmq.RCVHWM, _MOST_RECEIVED)

    def bind(self, addr: str) -> Any:
        """As the base class."""
        with self._lock:
            return super().bind(addr)

    def unbind(self, url: str | bytes) -> None:
        """As the base class."""
        with self._lock:
            super().unbind(url)

    def close(self, linger: int | None = None) -> None:
        """Closes the socket. On the event loop, if it has been read there."""
        with self._lock:
            if self._loop is not None:
                self._loop.remove_reader(self._descriptor)
                self._loop = None
            super().close(linger)

    async def receive(self) -> list[zmq.Frame]:
        """The next message: the identity of who sent it, and its frames."""
        if self._loop is None:
            self._loop, self._readable = asyncio.get_running_loop(), asyncio.Event()
            self._descriptor = int(self.get(zmq.FD))
            self._loop.add_reader(self._descriptor, self._readable.set)
        while True:
            with self._lock, contextlib.suppress(zmq.Again):
                return self.recv_multipart(zmq.NOBLOCK, copy=False)
            self._readable.clear()
            await self._readable.wait()

    def send_to(self, identity: bytes, frame: bytes) -> None:
        """Sends a message immediately, on any thread.

        Raises zmq.Again if the peer's queue is full, and another ZMQError if the peer has gone.
        """
        with self._lock:
            try:
                self.send_multipart([identity, frame], zmq.NOBLOCK)
            finally:
                # ZeroMQ tells once that something has come in, and it may have told this thread.
                if self._loop is not None and int(self.get(zmq.EVENTS)) & zmq.POLLIN:
                    self._loop.call_soon_threadsafe(self._readable.set)
