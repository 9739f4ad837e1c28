"""The sockets: one asyncio thread that reads requests, and never computes.

One socket is the owner's, who may do everything, and one beside it takes lines of text for shells
(`line_socket.py`); another, if asked for, is for those on the allow-list (`network_guests.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq
import zmq.asyncio

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.version import __version__
from charrepl.wire import protocol
from charrepl_daemon.engine.model_catalogue import ModelCatalogue
from charrepl_daemon.metrics.declarations import CONNECTIONS_CLOSED, MALFORMED, STOPS
from charrepl_daemon.process import data_directory, memory_trimming
from charrepl_daemon.process.listener import Listener, ListeningPath
from charrepl_daemon.process.supervision import Supervision, soon
from charrepl_daemon.serving.disk_lookups import Lookups, PendingRequest
from charrepl_daemon.serving.job import Job, Work
from charrepl_daemon.serving.jobs import job_for
from charrepl_daemon.serving.line_requests import LineRequests
from charrepl_daemon.serving.reloads import Reloads
from charrepl_daemon.serving.replies import STOPPED, Replies
from charrepl_daemon.serving.scheduler import Scheduler
from charrepl_daemon.serving.status import Status
from charrepl_daemon.sockets import connections, file_descriptors, message_limit
from charrepl_daemon.sockets.connections import Connection, Connections
from charrepl_daemon.sockets.line_socket import LineSocket
from charrepl_daemon.sockets.network_guests import Network, Peer
from charrepl_daemon.sockets.outbox import Transport
from charrepl_daemon.sockets.router import Router

log = logging.getLogger(__name__)

DRAIN_S = 2.0  # how long a shutdown waits for requests in flight
_GRACE_S = 0.2


class Server:
    """Serves its owner and its guests until it is told to stop, or was idle for a while."""

    def __init__(
        self,
        listener: Listener,
        scheduler: Scheduler,
        *,
        line_listener: ListeningPath,
        model: str,
        device: str,
        idle_s: float | None,
        network: Network | None = None,
        predecessor: dict[str, Any] | None = None,
        not_written: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._listener = listener
        self._scheduler = scheduler
        self._catalogue = ModelCatalogue(model, scheduler.library)
        self._device = device
        self._data_dir = paths.told_data_dir()
        self._idle_s = idle_s
        self._network = network
        self._context = zmq.asyncio.Context()
        self._last_request = time.monotonic()
        self._stop: asyncio.Event | None = None
        self._replies = Replies(scheduler, self._socket_of, admits=self._admits, later=self._later)
        self._reloads = Reloads(scheduler, self._send)
        self.supervision = Supervision(self.stop)
        self._connections = Connections()
        self._lookups = Lookups(
            self._catalogue,
            data_dir=Path(self._data_dir),
            is_plain=self._is_plain,
            check=lambda _, request: data_directory.check(self._data_dir, request),
            guard=self._guard,
            go_on=self._go_on,
            send=self._send,
        )
        self._metrics = scheduler.metrics
        self._line_requests = LineRequests(self._handle)
        self._lines = LineSocket(line_listener, self._line_requests.suggest, metrics=self._metrics)
        self.status = Status(
            scheduler,
            listener,
            device=device,
            data_dir=self._data_dir,
            network=network,
            stopping=lambda: self.stopping,
            predecessor=predecessor,
            not_written=not_written,
        )

    def bind(self) -> None:
        """Takes the owner's sockets. Raises CharreplError if it cannot.

        The caller holds the daemon's lock: ZeroMQ silently steals an ipc address that is in use.
        """
        self._socket = Router(self._context)
        # Guests are cut off first: those on the network may take half, and the next quarter is the owner's.
        self._most_descriptors = file_descriptors.raise_limit()
        self._connection_limit = file_descriptors.ConnectionLimit(
            self._socket,
            "this machine",
            most=self._most_descriptors * 3 // 4,
            accepted=self._connections.accepted,
            closed=self._closed_all,
        )
        self.listen()

    def listen(self) -> None:
        """Listens at the owner's sockets, again if necessary. Connections that exist stay."""
        if not self._listener.in_place():
            self._listener.bind(self._socket)
        self._lines.listen(most_descriptors=self._most_descriptors)

    async def run(
        self, *, ready: Callable[[], None], ending: Callable[[], None], leaving: Callable[[], None]
    ) -> None:
        """Serves; calls `ready` when the default model answers, and `ending` when told to stop.

        `leaving` is called when all are answered, and nobody should find it any more.
        Raises CharreplError if no default model can be loaded, or the error that keeps it from continuing.
        """
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        loading = self._load_default()
        self._lines.begin()
        self._watch()
        stopping = asyncio.create_task(self._stop.wait())
        try:
            if self._network is not None:
                self._let_in(self._network)
            first: set[asyncio.Future[Any]] = {loading, stopping}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                ready()
                self._last_request = time.monotonic()  # loading is not idling
                self.supervision.keep_up(self._watch_idle())
            await stopping
            ending()
            await self._drain()
            # Before any connection closes, so that a client that loses one sees that it was intended.
            leaving()
            # The last replies are on their way. But with IMMEDIATE set, ZeroMQ makes a client drop what it
            # has not read yet when its connection closes.
            await asyncio.sleep(_GRACE_S)
            if self.supervision.failure is not None:
                raise self.supervision.failure
        finally:
            stopping.cancel()
            await self._close()

    def _load_default(self) -> asyncio.Future[None]:
        """Begins to load the default model, or the next one that can be. Fails if there is none."""
        loop = asyncio.get_running_loop()
        loading: asyncio.Future[None] = loop.create_future()

        def load(directory: Path) -> None:
            def settle(error: CharreplError | None) -> None:
                if error is not None and self._catalogue.default.pass_over(directory, error):
                    load(self._catalogue.default())
                elif not loading.done():
                    loading.set_exception(error) if error else loading.set_result(None)

            self._scheduler.reload(directory, lambda error: soon(loop, settle, error))

        self._scheduler.lost = lambda error: soon(loop, self.supervision.give_up, error)
        load(self._catalogue.default())
        return loading

    def _watch(self) -> None:
        """Begins what goes on for as long as the daemon serves."""
        self.supervision.keep_up(self._receive())
        self.supervision.keep_up(self._connection_limit.watch(self._listener))
        self.supervision.keep_up(message_limit.cut_off(self._connections, self._metrics))
        self.supervision.keep_up(memory_trimming.keep_small())
        self.supervision.keep_up(self._line_requests.keep_counts())

    def _let_in(self, network: Network) -> None:
        """Begins to serve guests from the network. Raises CharreplError if it cannot listen there."""
        network.bind(
            Router(self._context),
            most=self._most_descriptors // 2,
            accepted=self._connections.accepted,
            closed=self._closed_all,
        )
        for work in (network.let_in(), network.keep_list(), self._receive_from(network), network.limit()):
            self.supervision.keep_up(work)

    async def _drain(self) -> None:
        """Finishes the requests in flight, as far as there is time, and refuses the rest."""
        await asyncio.to_thread(self._scheduler.stop, drain_s=DRAIN_S)
        self._replies.refuse_the_rest()
        self._lookups.refuse_the_rest()
        self._reloads.refuse_the_rest()

    async def _close(self) -> None:
        self._lookups.close()
        await self.supervision.cancel()
        await self._lines.close()
        self._connection_limit.close()
        self._socket.close()
        if self._network is not None:
            self._network.close()
        self._context.term()

    def stop(self) -> None:
        """Ends `run` after the requests in flight."""
        if self._stop is not None:
            self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop is not None and self._stop.is_set()

    def _closed_all(self) -> None:
        self._metrics.count(CONNECTIONS_CLOSED)

    def continued(self) -> None:
        """Records that a signal had stopped the process, and that it goes on now."""
        log.warning("continued after having been stopped by a signal")
        self._metrics.count(STOPS)

    async def _watch_idle(self) -> None:
        if self._idle_s is None:
            return
        while True:
            idle = time.monotonic() - self._last_request
            if idle >= self._idle_s and not self._scheduler.waiting():
                log.info("nobody asked for anything in %.0f s: leaving", idle)
                self.stop()
                return
            await asyncio.sleep(max(0.05, self._idle_s - idle))

    async def _receive(self) -> None:
        while True:
            identity, *frames = await self._socket.receive()
            frame = frames[-1] if frames else identity
            self._answer(
                Peer(identity.bytes), connections.connection_of(frame), frame.bytes if frames else b""
            )
            # A client that sends without a pause must not delay replies, signals or the heartbeat.
            await asyncio.sleep(0)

    async def _receive_from(self, network: Network) -> None:
        while True:
            self._answer(*await network.receive())
            await asyncio.sleep(0)

    def _answer(self, peer: Peer, through: Connection | None, frame: bytes) -> None:
        self._connections.heard(through)

        def answer() -> None:
            request = protocol.decode_request(frame)
            if self._network is not None:
                self._network.check(peer, request)
            self._handle(peer, through, request)

        self._guard(peer, lambda: protocol.seq_of(frame), answer)

    def _guard(self, peer: Peer, seq: Callable[[], int], work: Callable[[], None]) -> None:
        """Handles a request. If that fails, the error is its answer."""
        try:
            work()
        except CharreplError as error:
            if error.code in ("bad_request", "too_large"):
                self._metrics.count(MALFORMED)
            self._send(peer, protocol.Error(seq=seq(), code=error.code, message=str(error)))
        except Exception:  # a bug in one answer must not end the others
            log.exception("a request could not be handled")
            message = "the daemon failed on this request: see charrepl-daemon logs"
            self._send(peer, protocol.Error(seq=seq(), code="internal", message=message))

    def _handle(self, peer: Peer, through: Connection | None, request: protocol.Request) -> None:
        seq = request.seq
        # Looking does not count as using: a monitor must not keep an idle daemon alive.
        if not isinstance(request, protocol.Status):
            self._last_request = time.monotonic()
        match request:
            case protocol.Hello():
                self._send(peer, self._welcome(request))
            case protocol.Complete() | protocol.Sample() | protocol.Score():
                directory = self._catalogue.known(request.model)
                if directory is None or not self._is_plain(peer, request) or self._lookups.waits(peer):
                    self._lookups.begin(peer, PendingRequest(request, through))
                else:
                    self._submit(peer, through, request, directory)
            case protocol.Models() | protocol.Reload():
                self._lookups.begin(peer, PendingRequest(request, through))
            case protocol.Cancel():
                self._lookups.cancel(peer, seq)
                self._replies.cancel(peer, seq)
            case protocol.Status():
                self._send(peer, protocol.Report(seq=seq, status=self.status.tell(peer)))
            case protocol.Shutdown():
                log.info("asked to shut down")
                self._send(peer, protocol.Done(seq=seq))
                self.stop()

    def _is_plain(self, peer: Peer, request: protocol.OfModels) -> bool:
        return not peer.is_owner or data_directory.is_plain(self._data_dir, request)

    def _go_on(
        self, peer: Peer, pending: PendingRequest, directory: Path, found: list[protocol.ModelInfo]
    ) -> None:
        """Does what a request asks for, after the disk has been read."""
        match pending.request:
            case protocol.Complete() | protocol.Sample() | protocol.Score() as request:
                self._submit(peer, pending.through, request, directory)
            case protocol.Models() as request:
                notice = self._catalogue.default.notice
                if not peer.is_owner:  # a guest could not name models by path either
                    found, notice = [msgspec.structs.replace(model, path="") for model in found], ""
                seq, default = request.seq, directory.name
                self._send(peer, protocol.ModelList(seq=seq, models=found, default=default, notice=notice))
            case protocol.Reload() as request:
                if self.stopping:
                    raise CharreplError(STOPPED, code="stopping")
                self._reloads.begin(peer, request.seq, directory)

    def _welcome(self, request: protocol.Hello) -> protocol.Reply:
        if request.protocol != protocol.PROTOCOL:
            raise CharreplError(
                f"this daemon (charrepl {__version__}) speaks protocol {protocol.PROTOCOL}, not "
                f"{request.protocol}: run charrepl-daemon restart after an upgrade",
                code="protocol",
            )
        engines = self._scheduler.library.engines()
        return protocol.Welcome(
            seq=request.seq,
            protocol=protocol.PROTOCOL,
            version=__version__,
            pid=os.getpid(),
            models=[engine.directory.name for engine in engines],
            device=self._device,
            ready=bool(engines),
        )

    def _submit(self, peer: Peer, through: Connection | None, request: Work, directory: Path) -> None:
        if isinstance(request, protocol.Complete):
            self.status.typed(peer, request.session)

        def deliver(job: Job, reply: protocol.Reply) -> None:
            if isinstance(reply, protocol.Error) and reply.code in model_names.UNLOADABLE:
                soon(self._loop, self._failed, peer, job, reply)
                return
            job.count_unsent(1)
            if peer.is_owner:
                self._replies.reply(job, reply)
            else:  # the allow-list is the event loop's
                soon(self._loop, self._replies.reply, job, reply)

        self._scheduler.submit(
            job_for(request, directory=directory, connection=peer, deliver=deliver, through=through)
        )
        self._replies.watch()

    def _failed(self, peer: Peer, job: Job, reply: protocol.Error) -> None:
        """Lets another model answer a job whose model cannot be loaded, if it named none; else replies so."""
        error = CharreplError(reply.message, code=reply.code)
        default = self._catalogue.default
        if job.answered:  # cancelled, or refused at the end
            return
        if default.pass_over(job.directory, error) and not job.request.model:
            with contextlib.suppress(CharreplError):  # busy, or stopping
                self._submit(peer, job.through, job.request, default())
                job.answered = True  # by the other one
                return
        job.count_unsent(1)
        self._replies.reply(job, reply)

    def _send(self, peer: Peer, reply: protocol.Reply) -> None:
        self._replies.send(peer, reply)

    def _admits(self, peer: Peer) -> bool:
        return self._network is None or self._network.admits(peer)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        soon(self._loop, self._loop.call_later, seconds, call)

    def _socket_of(self, peer: Peer) -> Transport:
        if peer.on_lines:
            return self._line_requests
        return self._socket if self._network is None or peer.is_owner else self._network.socket
