r"""The client: `Client` for scripts, `AsyncClient` for programs with an event loop.

    from charrepl.client import Client

    with Client() as client:
        print(client.complete("ROMEO:\nO, ").text)

Both start a daemon where there is none. The texts go in whole: only the window the model reads is
sent.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec
import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from charrepl import __version__, launch, models, paths, protocol, window
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.protocol import Decoding, Reply, Request

_SCORE_PIECE = 8192  # characters a message
_HELLO_TIMEOUT_S = 10.0
_RETRY_S = 1.0  # between attempts to start a daemon that will not

R = TypeVar("R", bound=protocol.Message)


def _own_endpoint() -> str:
    """The endpoint of this user's daemon.

    Raises CharreplError if another user could be listening there: what is typed would go to them.
    """
    paths.check_private(paths.runtime_dir())
    return paths.endpoint()


def _checked(reply: Reply) -> Reply:
    if isinstance(reply, protocol.Error):
        raise CharreplError(reply.message, code=reply.code)
    return reply


def _expect(reply: Reply, kind: type[R]) -> R:
    if not isinstance(reply, kind):
        raise CharreplError(f"the daemon answered with {type(reply).__name__}: run charrepl-daemon restart")
    return reply


def _configure(socket: zmq.Socket[Any]) -> None:
    socket.linger = 0
    # Without this, messages queued for a dead daemon would be replayed to the one after it.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    socket.setsockopt(zmq.MAXMSGSIZE, 64 << 20)


@dataclasses.dataclass(frozen=True)
class Completion:
    """A finished ghost: its text, and the log-probability of each character in nats."""

    text: str
    log_probs: list[float]


class Client:
    """A connection to the daemon for scripts, used by one thread.

    Every method raises DaemonUnavailableError if no daemon answers and none can be started, and
    CharreplError for what the daemon refuses.
    """

    def __init__(self, *, model: str = "", endpoint: str | None = None, autostart: bool = True) -> None:
        self._model = models.absolute(model)
        self._endpoint = launch.checked(endpoint) if endpoint else _own_endpoint()
        self._autostart = autostart and endpoint is None
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._seq = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drops the connection; safe to repeat."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._context.term()

    def complete(
        self,
        text: str,
        *,
        max_chars: int = 48,
        stop: protocol.Stop = "line",
        min_confidence: float = 0.0,
        decoding: Decoding | None = None,
    ) -> Completion:
        """The ghost after `text`."""
        sent, offset = window.windowed(text)
        request = protocol.Complete(
            seq=0,
            session=f"client-{id(self)}",
            text=sent,
            offset=offset,
            model=self._model,
            max_chars=max_chars,
            stop=stop,
            min_confidence=min_confidence,
            decoding=decoding or Decoding(),
        )
        *_, last = self.stream(request)
        ghost = _expect(last, protocol.Ghost)
        return Completion(ghost.text, ghost.log_probs)

    def sample(
        self,
        text: str = "",
        *,
        max_chars: int = 200,
        stop: protocol.Stop = "none",
        decoding: Decoding | None = None,
    ) -> Iterator[str]:
        """Pieces of a passage after `text`, as they are written."""
        sent, offset = window.windowed(text)
        request = protocol.Sample(
            seq=0,
            text=sent,
            offset=offset,
            model=self._model,
            max_chars=max_chars,
            stop=stop,
            decoding=decoding or Decoding(temperature=0.8),
        )
        for reply in self.stream(request):
            yield _expect(reply, protocol.Chunk).text

    def score(self, text: str) -> Iterator[float]:
        """The log-probability in nats of each character of `text`, read whole, in order."""
        carry, digest = b"", ""
        for start in range(0, len(text), _SCORE_PIECE):
            request = protocol.Score(
                seq=0,
                text=text[start : start + _SCORE_PIECE],
                model=self._model,
                carry=carry,
                digest=digest,
            )
            scores = _expect(self.ask(request), protocol.Scores)
            carry, digest = scores.carry, scores.digest
            yield from scores.log_probs

    def models(self) -> protocol.ModelList:
        """Every model the daemon can find."""
        return _expect(self.ask(protocol.Models(seq=0)), protocol.ModelList)

    def status(self) -> dict[str, Any]:
        """How the daemon is."""
        return _expect(self.ask(protocol.Status(seq=0)), protocol.Report).status

    def ask(self, request: Request, *, timeout_s: float | None = None) -> Reply:
        """The only reply to a request."""
        *_, last = self.stream(request, timeout_s=timeout_s)
        return last

    def stream(self, request: Request, *, timeout_s: float | None = None) -> Iterator[Reply]:
        """The replies to a request, the last one final. `timeout_s` bounds the wait for each."""
        socket = self._connected()
        self._seq += 1
        request = msgspec.structs.replace(request, seq=self._seq)
        self._send(socket, request, time.monotonic() + _HELLO_TIMEOUT_S)
        while True:
            reply = self._receive(socket, timeout_s)
            if reply.seq != self._seq:
                continue  # to a request that was given up
            yield _checked(reply)
            if protocol.is_final(reply):
                return

    def _connected(self) -> zmq.Socket[bytes]:
        if not launch.is_listening(self._endpoint):
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            if not self._autostart:
                raise DaemonUnavailableError("no daemon is running: start it with charrepl-daemon start")
            launch.start()
        if self._socket is None:
            self._socket = self._context.socket(zmq.DEALER)
            _configure(self._socket)
            self._socket.connect(self._endpoint)
            self._seq += 1
            hello = protocol.Hello(seq=self._seq, protocol=protocol.PROTOCOL, version=__version__)
            self._send(self._socket, hello, time.monotonic() + _HELLO_TIMEOUT_S)
            _expect(_checked(self._receive(self._socket, _HELLO_TIMEOUT_S)), protocol.Welcome)
        return self._socket

    def _send(self, socket: zmq.Socket[bytes], request: Request, deadline: float) -> None:
        # IMMEDIATE makes a socket that is not connected yet refuse rather than queue.
        left_ms = max(0, int(1000 * (deadline - time.monotonic())))
        if not socket.poll(left_ms, zmq.POLLOUT):
            raise DaemonUnavailableError("the daemon does not answer: run charrepl-daemon restart")
        socket.send(protocol.encode(request), zmq.NOBLOCK)

    def _receive(self, socket: zmq.Socket[bytes], timeout_s: float | None) -> Reply:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not socket.poll(500):
            if not launch.is_listening(self._endpoint):
                raise DaemonUnavailableError("the daemon died while answering: run the command again")
            if deadline is not None and time.monotonic() > deadline:
                raise DaemonUnavailableError("the daemon does not answer: run charrepl-daemon restart")
        return protocol.decode_reply(socket.recv())


@dataclasses.dataclass(frozen=True)
class ConnectionState:
    """Where an AsyncClient stands; `detail` is one line for a person."""

    phase: Literal["connecting", "starting", "ready", "down"]
    detail: str = ""
    device: str = ""
    pid: int = 0


class AsyncClient:
    """A connection to the daemon that comes back by itself. `run` keeps it; used by one event loop."""

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        autostart: bool = True,
        on_state: Callable[[ConnectionState], None] = lambda state: None,
    ) -> None:
        self._endpoint = launch.checked(endpoint) if endpoint else None
        self._autostart = autostart and endpoint is None
        self._on_state = on_state
        self._state = ConnectionState("connecting")
        self._context = zmq.asyncio.Context()
        self._socket: zmq.asyncio.Socket | None = None
        self._waiting: dict[int, asyncio.Queue[Reply | DaemonUnavailableError]] = {}
        self._seq = 0
        self._wanted = asyncio.Event()

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands."""
        return self._state

    def _set(self, state: ConnectionState) -> None:
        if state != self._state:
            self._state = state
            self._on_state(state)

    async def run(self) -> None:
        """Connects, starts a daemon where there is none, and comes back after its death.

        Runs until cancelled. What goes wrong is told in `state`, never raised.
        """
        while True:
            try:
                endpoint = self._endpoint or _own_endpoint()
                if not launch.is_listening(endpoint):
                    if not self._autostart:
                        raise DaemonUnavailableError("no daemon: start it with charrepl-daemon start")
                    self._set(ConnectionState("starting", "starting the daemon"))
                    await launch.start_async()
                await self._converse(endpoint)
                if launch.left_in_order(endpoint):
                    # Stopped, or idle for long: to start it at once would make neither possible.
                    self._wanted.clear()
                    self._set(ConnectionState("down", "the daemon has left: the next key starts it again"))
                    await self._wanted.wait()
                self._set(ConnectionState("connecting", "connecting again"))
            except CharreplError as error:
                self._set(ConnectionState("down", str(error)))
                await asyncio.sleep(_RETRY_S)
            finally:
                self._drop()

    def wake(self) -> None:
        """Brings the connection back, if it waits for somebody to want it."""
        self._wanted.set()

    async def close(self) -> None:
        """Drops the connection; call it after `run` was cancelled."""
        self._drop()
        self._context.term()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close()
            self._socket = None
        for queue in self._waiting.values():
            queue.put_nowait(DaemonUnavailableError("the daemon died while answering"))

    async def _converse(self, endpoint: str) -> None:
        """Says hello and hands out replies until the daemon is gone."""
        socket = self._context.socket(zmq.DEALER)
        self._socket = socket
        _configure(socket)
        monitor = socket.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED)
        socket.connect(endpoint)
        gone = asyncio.create_task(self._watch(monitor, {zmq.EVENT_DISCONNECTED}))
        reading: asyncio.Task[None] | None = None
        try:
            await self._hello(socket)
            reading = asyncio.create_task(self._read(socket))
            done, _ = await asyncio.wait({gone, reading}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks = [task for task in (gone, reading) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            monitor.close()

    async def _hello(self, socket: zmq.asyncio.Socket) -> None:
        self._seq += 1
        hello = protocol.Hello(seq=self._seq, protocol=protocol.PROTOCOL, version=__version__)
        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                await socket.send(protocol.encode(hello))
                welcome = _expect(_checked(protocol.decode_reply(await socket.recv())), protocol.Welcome)
        except TimeoutError:
            raise DaemonUnavailableError("the daemon does not answer: run charrepl-daemon restart") from None
        self._set(ConnectionState("ready", device=welcome.device, pid=welcome.pid))

    @staticmethod
    async def _watch(monitor: zmq.asyncio.Socket, events: set[int]) -> None:
        while True:
            event = parse_monitor_message(await monitor.recv_multipart())
            if event["event"] in events:
                return

    async def _read(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            reply = protocol.decode_reply(await socket.recv())
            queue = self._waiting.get(reply.seq)
            if queue is not None:  # else nobody waits for it any more
                queue.put_nowait(reply)

    async def ask(self, request: Request) -> Reply:
        """The only reply to a request."""
        async for reply in self.stream(request):
            last = reply
        return last

    async def stream(self, request: Request) -> AsyncIterator[Reply]:
        """The replies to a request, the last one final.

        Raises DaemonUnavailableError if there is no connection or it is lost, and CharreplError for
        what the daemon refuses. Leaving the loop early drops what comes later.
        """
        socket = self._socket
        if socket is None or self._state.phase != "ready":
            self.wake()
            raise DaemonUnavailableError(self._state.detail or "not connected to the daemon yet")
        self._seq += 1
        seq = self._seq
        queue: asyncio.Queue[Reply | DaemonUnavailableError] = asyncio.Queue()
        self._waiting[seq] = queue
        try:
            try:
                await socket.send(protocol.encode(msgspec.structs.replace(request, seq=seq)), zmq.NOBLOCK)
            except zmq.ZMQError:  # not connected, or its queue is full
                raise DaemonUnavailableError("the daemon is not reading: try again") from None
            while True:
                reply = await queue.get()
                if isinstance(reply, DaemonUnavailableError):
                    raise reply
                yield _checked(reply)
                if protocol.is_final(reply):
                    return
        finally:
            del self._waiting[seq]
