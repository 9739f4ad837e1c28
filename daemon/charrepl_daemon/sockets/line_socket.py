"""The line socket: a Unix stream socket beside ZeroMQ's, for shells and scripts, which speak no ZeroMQ.

One client cannot take more than its share. `conversation.py` limits how many of its texts are read at once,
and a connection that has nothing under way ends when another client needs its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import select
import socket as sockets

from charrepl.errors import reason
from charrepl.line_protocol import frames
from charrepl.line_protocol.conversation import Conversation, Suggest
from charrepl.line_protocol.settings import LineSettings
from charrepl_daemon.metrics.counters import Metrics
from charrepl_daemon.metrics.declarations import CLIENTS_LET_GO
from charrepl_daemon.process.listener import ListeningPath

log = logging.getLogger(__name__)

_WITHIN_S = 1.0  # by then, the person at that shell has typed on
_MOST_CONNECTIONS = 256
_PIECE_BYTES = 1 << 16
_ACCEPTED_AT_ONCE = 16  # before others have their turn
_AGAIN_S = 0.5  # where the system gives no descriptor


class LineSocket:
    """The connections to the line socket, all of one event loop."""

    def __init__(self, listener: ListeningPath, suggest: Suggest, *, metrics: Metrics) -> None:
        self._listener = listener
        self._suggest = suggest
        self._metrics = metrics
        self._most = _MOST_CONNECTIONS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: sockets.socket | None = None
        # The oldest first; without a conversation, while it begins.
        self._connections: dict[asyncio.Task[None], Conversation | None] = {}
        self._numbers = itertools.count()

    def listen(self, *, most_descriptors: int) -> None:
        """Listens, again if necessary. Connections that exist stay. Raises CharreplError if it cannot."""
        if self._listener.in_place():
            return
        self._most = min(_MOST_CONNECTIONS, most_descriptors // 8)
        self._stop_accepting()
        self._listener.listen(self._take)
        self._accept_next()

    def _take(self, made: sockets.socket) -> None:
        self._socket = made

    def begin(self) -> None:
        """Accepts from now on, on the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._accept_next()

    def _accept_next(self) -> None:
        if self._loop is not None and self._socket is not None:
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        assert self._loop is not None and self._socket is not None
        try:
            for _ in range(_ACCEPTED_AT_ONCE):
                self._let_in(self._loop, self._socket.accept()[0])
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            log.warning("cannot accept a connection: %s", reason(error))
            self._loop.remove_reader(self._socket)
            self._loop.call_later(_AGAIN_S, self._accept_next)

    def _let_in(self, loop: asyncio.AbstractEventLoop, connection: sockets.socket) -> None:
        connection.setblocking(False)
        settings = LineSettings(document=f"connection {next(self._numbers)}")
        task = loop.create_task(self._converse(connection, settings))
        task.add_done_callback(self._ended)
        self._connections[task] = None
        if len(self._connections) > self._most:
            self._metrics.count(CLIENTS_LET_GO)
            idle = (one for one, talk in self._connections.items() if talk is not None and not talk.waits)
            ended = next(idle, task)
            del self._connections[ended]
            ended.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection failed", exc_info=error)

    async def _converse(self, connection: sockets.socket, settings: LineSettings) -> None:
        task = asyncio.current_task()
        assert task is not None
        with connection:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_PIECE_BYTES)

            async def read() -> bytes:
                data = await reader.read(_PIECE_BYTES)
                if not data and _has_gone(connection):
                    raise ConnectionResetError
                return data

            async def write(frame: bytes) -> None:
                writer.write(frame)
                await writer.drain()

            conversation = Conversation(self._suggest, write, settings=settings, within_s=_WITHIN_S)
            self._connections[task] = conversation
            try:
                await conversation.follow(frames.split(read))
                writer.close()
                await writer.wait_closed()
            except OSError:
                pass  # it has left
            finally:
                writer.transport.abort()

    async def close(self) -> None:
        """Ends all connections, and stops listening."""
        self._stop_accepting()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop_accepting(self) -> None:
        if self._socket is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._socket)
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _has_gone(connection: sockets.socket) -> bool:
    """Whether the client has gone. One that only has no more to ask is still there."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
