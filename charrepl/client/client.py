r"""The client for scripts.

    from charrepl.client import Client

    with Client() as client:
        print(client.complete("ROMEO:\nO, ").text)

It starts a daemon if there is none. Give it whole texts: only the window that the model reads is sent.
`charrepl.client.async_client` is the same for programs with an event loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from charrepl.client import connection, daemon_startup
from charrepl.client.start_backoff import Backoff
from charrepl.errors import CharreplError, ConnectionLostError, DaemonUnavailableError
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.text import graphemes
from charrepl.wire import context_window, protocol
from charrepl.wire.protocol import Decoding, Reply, Request

_SCORE_PIECE = 8192  # characters per message
_MOST_WAIT_S = 1.0  # before a daemon is started; a longer wait is an error instead


@dataclasses.dataclass(frozen=True)
class Completion:
    """A finished ghost: its text, and the log-probability of each character in nats."""

    text: str
    log_probs: list[float]


class Client:
    """A connection to the daemon for scripts, for one thread at a time. A forked child makes its own.

    Without `greet`, it talks to a daemon with any protocol version: `status` and `shutdown` are the same in
    all. Every method raises DaemonUnavailableError if no daemon answers and none can be started, and
    CharreplError if the daemon refuses.
    """

    def __init__(
        self, *, model: str = "", endpoint: str | None = None, autostart: bool = True, greet: bool = True
    ) -> None:
        self._model = model_names.absolute(model)
        self._given = daemon_startup.checked(endpoint) if endpoint else None
        self._endpoint = self._given or connection.own_endpoint()
        self._data_dir = connection.data_dir(endpoint)
        self._autostart = autostart and endpoint is None
        self._greet = greet
        self._pid = os.getpid()
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None  # says what happens to the connection
        self._seq = 0
        self._users: list[int] = []  # the thread that waits for replies, once for each request
        self._backoff = Backoff(file=paths.starts_file)
        self._failure = ""  # why the last start failed
        self._under_way = 0  # the request that is being answered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drops the connection. You may call it more than once."""
        self._leave_parents()
        self._drop()
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
        sent, offset = context_window.windowed(text)
        request = protocol.Complete(
            seq=0,
            session=f"client-{os.getpid()}-{id(self)}",
            text=sent,
            offset=offset,
            model=self._model,
            max_chars=max_chars,
            stop=stop,
            min_confidence=min_confidence,
            decoding=decoding or Decoding(),
        )
        *_, last = self.stream(request)
        ghost = connection.expect(last, protocol.Ghost)
        return Completion(ghost.text, ghost.log_probs)

    def sample(
        self,
        text: str = "",
        *,
        max_chars: int = 200,
        stop: protocol.Stop = "none",
        decoding: Decoding | None = None,
    ) -> Iterator[str]:
        """Pieces of a passage after `text`, as they are written. Closing the iterator ends the passage."""
        sent, offset = context_window.windowed(text)
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
            yield connection.expect(reply, protocol.Chunk).text

    def score(self, text: str, *, adapt: bool = False) -> Iterator[float]:
        """The log-probability in nats of each character of `text`, in order. The whole text is read.

        If the model reads several characters as one letter, the first has the letter's log-probability, and
        the others have 0. With `adapt`, the model adapts to the text before each character.
        """
        carry, digest = b"", ""
        start = 0
        while start < len(text):
            end = graphemes.cut(text, start, _SCORE_PIECE)
            before, offset = context_window.windowed(text[:start]) if adapt else ("", 0)
            request = protocol.Score(
                seq=0,
                text=text[start:end],
                model=self._model,
                carry=carry,
                digest=digest,
                adapt=adapt,
                before=before,
                offset=offset,
            )
            scores = connection.expect(self.ask(request), protocol.Scores)
            carry, digest = scores.carry, scores.digest
            yield from scores.log_probs
            start = end

    def models(self) -> protocol.ModelList:
        """Every model that the daemon can find."""
        return connection.expect(self.ask(protocol.Models(seq=0)), protocol.ModelList)

    def status(self) -> dict[str, Any]:
        """The daemon's status."""
        # The thread that answers never computes. So a daemon that does not answer soon is not running.
        reply = self.ask(protocol.Status(seq=0), timeout_s=connection.ANSWER_S)
        return connection.expect(reply, protocol.Report).status

    def ask(self, request: Request, *, timeout_s: float | None = None) -> Reply:
        """The only reply to a request."""
        *_, last = self.stream(request, timeout_s=timeout_s)
        return last

    def stream(self, request: Request, *, timeout_s: float | None = None) -> Iterator[Reply]:
        """The replies to a request, the last one final. `timeout_s` limits sending, and the wait for each.

        If the daemon ends before its first reply, the request is sent once more to the daemon that replaces
        it, unless it concerns only the old one. If you leave early or close the iterator, the daemon is told
        to give the request up.
        """
        self._leave_parents()
        with self._by_one_thread():
            yield from self._stream_or_retry(request, timeout_s)

    @contextlib.contextmanager
    def _by_one_thread(self) -> Iterator[None]:
        """Raises CharreplError while another thread waits for replies: each would get the other's replies."""
        thread = threading.get_ident()
        if any(user != thread for user in self._users):
            raise CharreplError("another thread uses this Client: make one for each thread")
        self._users.append(thread)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # if this began before a fork
                self._users.remove(thread)

    def _stream_or_retry(self, request: Request, timeout_s: float | None) -> Iterator[Reply]:
        replies = self._stream(request, timeout_s)
        try:
            first = next(replies)
        except CharreplError as error:
            ending = isinstance(error, ConnectionLostError) or error.code == "stopping"
            if isinstance(request, protocol.Shutdown | protocol.Reload) or not ending:
                raise
            self._drop()
            if self._autostart:
                self._start()  # waits for the old daemon's end, because that may still accept connections
            replies = self._stream(request, timeout_s)
            first = next(replies)
        yield first
        yield from replies

    def _stream(self, request: Request, timeout_s: float | None) -> Iterator[Reply]:
        socket = self._connected()
        self._seq += 1
        request = connection.addressed(request, seq=self._seq, data_dir=self._data_dir)
        self._give_up(self._under_way)
        self._send(socket, request, timeout_s=timeout_s)
        if protocol.is_work(request):
            self._under_way = request.seq
        final = False
        try:
            while not final:
                reply = self._receive(socket, timeout_s)
                if reply.seq != request.seq:
                    continue  # it belongs to a request that was given up
                self._backoff.reset()
                final = protocol.is_final(reply)
                if final:
                    self._under_way = 0
                yield connection.checked(reply)
                if self._seq != request.seq:
                    raise CharreplError(
                        "a Client has one request at a time, and a newer one replaced this: use two"
                    )
        finally:
            if self._under_way == request.seq:
                self._give_up(request.seq)

    def _give_up(self, seq: int) -> None:
        """Tells the daemon to give up the request in progress, if there is one."""
        # Not in a forked child, whose socket is its parent's. Nor while Python ends, and the connection too.
        if seq and self._socket is not None and self._pid == os.getpid() and not sys.is_finalizing():
            with contextlib.suppress(zmq.ZMQError):  # the daemon is gone, or reads nothing
                self._socket.send(protocol.encode(protocol.Cancel(seq=seq)), zmq.NOBLOCK)
        self._under_way = 0

    def _connected(self) -> zmq.Socket[bytes]:
        try:
            return self._joined()
        except CharreplError as error:
            if error.code != "protocol" or not self._autostart:
                raise
        self._start(replace_older=True)
        return self._joined()

    def _leave_parents(self) -> None:
        """In a forked child, leaves the connection to the parent, and starts without one."""
        if self._pid != os.getpid():
            connection.leave_to_parent(self._context, self._socket, self._monitor)
            self._pid, self._context = os.getpid(), zmq.Context()
            self._users = []
            self._socket = self._monitor = None

    def _start(self, *, replace_older: bool = False) -> None:
        """Starts a daemon, unless that failed just now."""
        wait_s = self._backoff.wait_s
        if wait_s > _MOST_WAIT_S:
            raise DaemonUnavailableError(
                f"{self._failure or 'the daemon ends before it answers: see charrepl-daemon logs'}; "
                f"it is not started again for {wait_s:.0f} s"
            )
        time.sleep(wait_s)
        self._failure = ""
        try:
            with self._backoff.starting():
                daemon_startup.start(replace_older=replace_older)
        except DaemonUnavailableError as error:
            self._failure = str(error)
            raise

    def _joined(self) -> zmq.Socket[bytes]:
        self._leave_parents()
        if self._context.closed:
            raise CharreplError("this Client is closed: make another")
        if self._socket is not None and self._lost():
            self._drop()
        if self._socket is None:
            # The directory may have another owner than at the last connection.
            self._endpoint = self._given or connection.own_endpoint()
            if not daemon_startup.is_listening(self._endpoint):
                if not self._autostart:
                    raise connection.absent(self._given)
                self._start()
            try:
                self._connect()
            except CharreplError as error:
                # A daemon that ends during the handshake looks like one with another key. So we try twice.
                if error.code != "untrusted":
                    raise
                self._connect()
        assert self._socket is not None
        return self._socket

    def _connect(self) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        try:
            self._introduce(self._socket)
        except BaseException:
            self._drop()
            raise

    def _introduce(self, socket: zmq.Socket[bytes]) -> None:
        connection.configure(socket, self._endpoint)
        self._monitor = socket.get_monitor_socket(
            # ZeroMQ reconnects by itself, locally too. Only its events show that the connection is new.
            connection.OUTCOMES if connection.is_remote(self._endpoint) else zmq.EVENT_DISCONNECTED
        )
        if connection.is_remote(self._endpoint):
            socket.connect(connection.reach(self._endpoint))
            began, outcome = time.monotonic(), None
            if self._monitor.poll(int(1000 * connection.ANSWER_S)):
                outcome = recv_monitor_message(self._monitor)
            if outcome is None or outcome["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED:
                raise connection.refusal(self._endpoint, outcome, after_s=time.monotonic() - began)
        else:
            socket.connect(self._endpoint)
        if self._greet:
            self._seq += 1
            self._send(socket, connection.hello(self._seq))
            connection.welcomed(self._receive(socket, connection.ANSWER_S))

    def _lost(self) -> bool:
        """Whether the daemon is gone, or the connection to it. Another daemon may be there already.

        ZeroMQ's own thread says so, a moment late. A look at the endpoint itself would be immediate, but then
        the daemon would have to accept one more connection for every key, which doubles the slowest answers.
        """
        return self._monitor is not None and bool(self._monitor.poll(0))

    def _drop(self) -> None:
        self._under_way = 0
        if self._socket is not None:
            if self._monitor is not None:
                self._socket.disable_monitor()
                self._monitor.close()
                self._monitor = None
            self._socket.close()
            self._socket = None

    def _send(self, socket: zmq.Socket[bytes], request: Request, *, timeout_s: float | None = None) -> None:
        # IMMEDIATE makes an unconnected socket refuse a message instead of queueing it.
        self._await(socket, zmq.POLLOUT, connection.ANSWER_S if timeout_s is None else timeout_s)
        socket.send(protocol.encode(request), zmq.NOBLOCK)

    def _receive(self, socket: zmq.Socket[bytes], timeout_s: float | None) -> Reply:
        if timeout_s is None:
            self._await_as_long_as_it_lives(socket)
        else:
            self._await(socket, zmq.POLLIN, timeout_s)
        return protocol.decode_reply(socket.recv())

    def _await_as_long_as_it_lives(self, socket: zmq.Socket[bytes]) -> None:
        """Waits for a reply. Asks a silent daemon for a sign of life."""
        if not self._ready(socket, zmq.POLLIN, connection.ANSWER_S):
            with contextlib.suppress(zmq.Again):  # it does not even read
                socket.send(protocol.encode(connection.SIGN_OF_LIFE), zmq.NOBLOCK)
            self._await(socket, zmq.POLLIN, connection.ANSWER_S)

    def _await(self, socket: zmq.Socket[bytes], ready: int, timeout_s: float) -> None:
        """Waits until the socket is ready. Raises DaemonUnavailableError if it is not in time."""
        if not self._ready(socket, ready, timeout_s):
            raise connection.silent(self._endpoint)

    def _ready(self, socket: zmq.Socket[bytes], ready: int, timeout_s: float) -> bool:
        """Whether the socket gets ready in that time. Raises ConnectionLostError if the daemon is gone."""
        if self._pid != os.getpid() or socket is not self._socket:
            raise DaemonUnavailableError("this request was sent on another connection: ask again")
        poller = zmq.Poller()
        poller.register(socket, ready)
        if self._monitor is not None:
            poller.register(self._monitor, zmq.POLLIN)
        found = dict(poller.poll(int(1000 * timeout_s)))
        if found and socket not in found:
            raise connection.lost(self._endpoint)
        return bool(found)
