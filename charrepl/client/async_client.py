"""The client for programs with an event loop, such as the REPL. It reconnects by itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Literal

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from charrepl.client import connection, daemon_startup
from charrepl.client.start_backoff import Backoff
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl.wire.protocol import Reply, Request

_RETRY_S = 1.0  # between attempts to connect to a running daemon
_READY_S = 0.25  # between two checks whether the daemon has a model
_LEFT_S = 0.05  # until the daemon is told to give up an abandoned request


async def _reach(endpoint: str) -> str:
    """As `connection.reach`, in a separate thread. The loop would wait for a thread of its own to end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()

    def settle(address: str, error: CharreplError | None) -> None:
        if not found.done():
            found.set_exception(error) if error else found.set_result(address)

    def look() -> None:
        address, failed = "", None
        try:
            address = connection.reach(endpoint)
        except CharreplError as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, address, failed)

    threading.Thread(target=look, name="reach", daemon=True).start()
    return await found


@dataclasses.dataclass(frozen=True)
class ConnectionState:
    """The state of an AsyncClient. `detail` is one line for a person, empty if all is well."""

    phase: Literal["connecting", "starting", "ready", "down"]
    detail: str = ""
    device: str = ""
    pid: int = 0


class AsyncClient:
    """A connection to the daemon that `run` keeps and renews by itself. One event loop may use it.

    After a fork, the child gets a connection of its own when it calls `run`.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        autostart: bool = True,
        on_state: Callable[[ConnectionState], None] = lambda state: None,
    ) -> None:
        self._endpoint = daemon_startup.checked(endpoint) if endpoint else None
        self._data_dir = connection.data_dir(endpoint)
        self._autostart = autostart and endpoint is None
        self._on_state = on_state
        self._seq = 0
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._state = ConnectionState("connecting")
        self._context = zmq.asyncio.Context()
        self._socket: zmq.asyncio.Socket | None = None
        self._waiting: dict[int, asyncio.Queue[Reply | DaemonUnavailableError]] = {}
        self._heard = 0  # replies to all requests
        self._newest: dict[str, int] = {}  # the newest request of each session
        self._wanted = asyncio.Event()
        self._backoff = Backoff(file=paths.starts_file)

    def _leave_parents(self) -> None:
        """In a forked child, leaves the connection to the parent, and starts without one."""
        if self._pid != os.getpid():
            connection.leave_to_parent(self._context, self._socket)
            self._begin()

    @property
    def state(self) -> ConnectionState:
        """The state of the connection."""
        return self._state

    def _set(self, state: ConnectionState) -> None:
        if state != self._state:
            self._state = state
            self._on_state(state)

    async def run(self) -> None:
        """Connects, starts a daemon if there is none, and reconnects if it dies.

        Runs until cancelled. Failures are told in `state`, never raised.
        """
        try:
            await self._keep()
        finally:
            # Without a call of `on_state`: whoever cancelled this knows already.
            self._state = ConnectionState("down", "the connection was closed: run makes another")

    async def _keep(self) -> None:
        self._leave_parents()
        older = False  # whether a daemon runs that may be older than this program
        while True:
            starting = False
            try:
                endpoint = self._endpoint or connection.own_endpoint()
                if older or not daemon_startup.is_listening(endpoint):
                    if not self._autostart:
                        raise connection.absent(self._endpoint)
                    await self._hold_back()
                    starting = True
                    self._set(ConnectionState("starting", "starting the daemon"))
                    with self._backoff.starting():
                        await daemon_startup.start_async(replace_older=older)
                    older = starting = False
                await self._converse(endpoint)
                if daemon_startup.left_in_order(endpoint):
                    # It was stopped, or it ended because it was idle. If we started it immediately, neither
                    # would have an effect.
                    self._wanted.clear()
                    self._set(ConnectionState("down", "the daemon has ended: the next key starts it again"))
                    await self._wanted.wait()
                self._set(ConnectionState("connecting", "connecting again"))
            except CharreplError as error:
                if error.code == "protocol" and self._autostart:
                    older = True
                    continue
                self._set(ConnectionState("down", str(error)))
                if not starting:
                    await asyncio.sleep(_RETRY_S)
                older = False
            finally:
                self._drop()

    async def _hold_back(self) -> None:
        """Waits before another start, if earlier starts failed."""
        if self._backoff.wait_s and self._backoff.spent:
            self._wanted.clear()
            why = self._state.detail if self._state.phase == "down" else "the daemon ends again and again"
            self._set(ConnectionState("down", f"{why}; the next key starts it again"))
            await self._wanted.wait()
        await asyncio.sleep(self._backoff.wait_s)

    def wake(self) -> None:
        """Reconnects, if the connection waits until it is needed."""
        self._wanted.set()

    async def close(self) -> None:
        """Drops the connection. Call it after you cancelled `run`."""
        self._leave_parents()
        self._drop()
        self._context.term()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for queue in self._waiting.values():
            queue.put_nowait(connection.lost(self._endpoint))

    async def _converse(self, endpoint: str) -> None:
        """Says hello and delivers replies until the daemon is gone."""
        socket = self._context.socket(zmq.DEALER)
        self._socket = socket
        monitor = socket.get_monitor_socket(connection.OUTCOMES)
        tasks: list[asyncio.Task[None]] = []
        try:
            connection.configure(socket, endpoint)
            if connection.is_remote(endpoint):
                socket.connect(await _reach(endpoint))
                await self._shake_hands(monitor, endpoint)
            else:
                socket.connect(endpoint)
            tasks.append(asyncio.create_task(self._watch(monitor)))
            await self._hello(socket, endpoint)
            tasks.append(asyncio.create_task(self._read(socket)))
            tasks.append(asyncio.create_task(self._listen_for_life(socket, endpoint)))
            lasting = list(tasks)
            tasks.append(asyncio.create_task(self._see_ready()))
            done, _ = await asyncio.wait(lasting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:  # also if `run` is cancelled just now: a socket left open would keep `close` for ever
                socket.disable_monitor()  # first, because the socket would wait until the monitor has room
                monitor.close()

    @staticmethod
    async def _shake_hands(monitor: zmq.asyncio.Socket, endpoint: str) -> None:
        began, outcome = time.monotonic(), None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(connection.ANSWER_S):
                outcome = parse_monitor_message(await monitor.recv_multipart())
        if outcome is None or outcome["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED:
            raise connection.refusal(endpoint, outcome, after_s=time.monotonic() - began)

    async def _hello(self, socket: zmq.asyncio.Socket, endpoint: str) -> None:
        self._seq += 1
        hello = connection.hello(self._seq)
        try:
            async with asyncio.timeout(connection.ANSWER_S):
                await socket.send(protocol.encode(hello))
                welcome = connection.welcomed(protocol.decode_reply(await socket.recv()))
        except TimeoutError:
            raise connection.silent(endpoint) from None
        self._welcomed(welcome)

    def _welcomed(self, welcome: protocol.Welcome) -> None:
        detail = "" if welcome.ready else "preparing the model"
        self._set(ConnectionState("ready", detail, device=welcome.device, pid=welcome.pid))

    async def _see_ready(self) -> None:
        """Asks again and again until a model is ready, so that `state` can say so."""
        with contextlib.suppress(DaemonUnavailableError):  # other tasks report it
            while self._state.detail:
                await asyncio.sleep(_READY_S)
                self._welcomed(connection.welcomed(await self.ask(connection.hello(0))))

    @staticmethod
    async def _watch(monitor: zmq.asyncio.Socket) -> None:
        """Returns when the connection is gone."""
        event = None
        while event != zmq.EVENT_DISCONNECTED:
            event = parse_monitor_message(await monitor.recv_multipart())["event"]

    async def _read(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            reply = protocol.decode_reply(await socket.recv())
            self._heard += 1
            queue = self._waiting.get(reply.seq)
            if queue is not None:  # otherwise nobody waits for this reply any more
                queue.put_nowait(reply)
            await asyncio.sleep(0)  # a daemon that never stops talking must not keep keys waiting

    async def _listen_for_life(self, socket: zmq.asyncio.Socket, endpoint: str) -> None:
        """Raises DaemonUnavailableError if a request waits and the daemon shows no sign of life."""
        while True:
            heard = self._heard
            await asyncio.sleep(connection.ANSWER_S)
            if not self._waiting or self._heard != heard:
                continue
            with contextlib.suppress(zmq.ZMQError):  # it does not even read
                await socket.send(protocol.encode(connection.SIGN_OF_LIFE), zmq.NOBLOCK)
            await asyncio.sleep(connection.ANSWER_S)
            if self._heard == heard:
                raise connection.silent(endpoint)

    async def ask(self, request: Request) -> Reply:
        """The only reply to a request."""
        async for reply in self.stream(request):
            last = reply
        return last

    async def stream(self, request: Request) -> AsyncIterator[Reply]:
        """The replies to a request, the last one final.

        Raises DaemonUnavailableError if there is no connection or it is lost, and CharreplError if the daemon
        refuses. If you leave the loop early or close the iterator, later replies are dropped, and the daemon
        is told to give the request up.
        """
        self._leave_parents()
        socket = self._socket
        if socket is None or self._state.phase != "ready":
            self.wake()
            raise DaemonUnavailableError(self._state.detail or "not connected to the daemon yet")
        self._seq += 1
        seq = self._seq
        queue: asyncio.Queue[Reply | DaemonUnavailableError] = asyncio.Queue()
        self._waiting[seq] = queue
        if isinstance(request, protocol.Complete):
            self._newest[request.session] = seq
        final = False
        try:
            try:
                await socket.send(
                    protocol.encode(connection.addressed(request, seq=seq, data_dir=self._data_dir)),
                    zmq.NOBLOCK,
                )
            except zmq.ZMQError:  # not connected, or its queue is full
                raise DaemonUnavailableError("the daemon is not reading: try again") from None
            while not final:
                reply = await queue.get()
                if isinstance(reply, DaemonUnavailableError):
                    final = True
                    raise reply
                final = protocol.is_final(reply)
                yield connection.checked(reply)
        finally:
            del self._waiting[seq]
            if not final and protocol.is_work(request):
                # Later: most abandoned requests are followed by a newer one. That ends them too, and must
                # not wait for this message.
                asyncio.get_running_loop().call_later(_LEFT_S, self._give_up, socket, request, seq)

    def _give_up(self, socket: zmq.asyncio.Socket, request: Request, seq: int) -> None:
        replaced = isinstance(request, protocol.Complete) and self._newest.get(request.session) != seq
        if socket is self._socket and not replaced:
            with contextlib.suppress(zmq.ZMQError):  # it has gone, or is full
                socket.send(protocol.encode(protocol.Cancel(seq=seq)), zmq.NOBLOCK)
