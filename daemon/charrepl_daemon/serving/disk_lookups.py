"""Requests that wait for the disk: one read at a time for each connection, in its order."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.engine.model_catalogue import ModelCatalogue
from charrepl_daemon.serving.job import Work
from charrepl_daemon.serving.replies import cancelled, stopped
from charrepl_daemon.sockets.connections import Connection
from charrepl_daemon.sockets.network_guests import Peer

_MOST = 256  # of a connection


class PendingRequest:
    """A request that waits, and what it came through."""

    def __init__(self, request: Work | protocol.Models | protocol.Reload, through: Connection | None) -> None:
        self.request = request
        self.through = through
        self.answered = False


class Lookups:
    """The requests under way, of one event loop.

    `check` raises CharreplError if the disk says that a request must not be served. It is not called if
    `is_plain` knows that the request needs no disk. `go_on` gets the directory of the model and, for
    `models`, all models. `guard` turns what these raise into an answer. `send` sends a reply.
    """

    def __init__(
        self,
        catalogue: ModelCatalogue,
        *,
        data_dir: Path,
        is_plain: Callable[[Peer, protocol.OfModels], bool],
        check: Callable[[Peer, protocol.OfModels], None],
        guard: Callable[[Peer, Callable[[], int], Callable[[], None]], None],
        go_on: Callable[[Peer, PendingRequest, Path, list[protocol.ModelInfo]], None],
        send: Callable[[Peer, protocol.Reply], None],
    ) -> None:
        self._catalogue = catalogue
        self._data_dir = data_dir
        self._is_plain = is_plain
        self._check = check
        self._guard = guard
        self._go_on = go_on
        self._send = send
        self._queues: dict[Peer, deque[PendingRequest]] = {}
        self._readers: set[asyncio.Task[None]] = set()

    def waits(self, peer: Peer) -> bool:
        """Whether a connection waits for the disk. Then its new requests must wait, too."""
        return peer in self._queues

    def begin(self, peer: Peer, pending: PendingRequest) -> None:
        """Makes a request wait. A ghost replaces an older one of its session.

        Raises CharreplError with code `busy` if too many of its connection wait.
        """
        queue = self._queues.get(peer)
        if queue is not None:
            if isinstance(pending.request, protocol.Complete):
                self._supersede(peer, queue, pending.request.session)
            if len(queue) >= _MOST:
                raise CharreplError(
                    f"{len(queue)} of your requests wait for the disk: try again in a moment", code="busy"
                )
            queue.append(pending)
        else:  # a queue has one reader from its first request on, also while it is empty for a moment
            queue = self._queues[peer] = deque([pending])
            task = asyncio.get_running_loop().create_task(self._read_for(peer, queue))
            self._readers.add(task)
            task.add_done_callback(self._readers.discard)

    def _supersede(self, peer: Peer, queue: deque[PendingRequest], session: str) -> None:
        for older in list(queue):
            request = older.request
            if isinstance(request, protocol.Complete) and request.session == session and not older.answered:
                older.answered = True
                self._send(peer, protocol.Superseded(seq=request.seq, session=session))
                if older is not queue[0]:  # a read may be under way for the first, whose reader removes it
                    queue.remove(older)

    async def _read_for(self, peer: Peer, queue: deque[PendingRequest]) -> None:
        while queue:
            pending = queue[0]
            if not pending.answered:
                go_on = await self._looked_up(peer, pending)
            queue.popleft()
            if not pending.answered:
                self._guard(peer, functools.partial(getattr, pending.request, "seq"), go_on)
            await asyncio.sleep(0)  # if nothing had to be read, this gives others their turn
        del self._queues[peer]

    async def _looked_up(self, peer: Peer, pending: PendingRequest) -> Callable[[], None]:
        """What to do now that the disk has answered."""
        request, found = pending.request, list[protocol.ModelInfo]()
        try:
            if not self._is_plain(peer, request):
                await self._catalogue.reading(self._data_dir, lambda _: self._check(peer, request))
            if isinstance(request, protocol.Models):
                found = await self._catalogue.listed()
            name = "" if isinstance(request, protocol.Models) else request.model
            return functools.partial(self._go_on, peer, pending, await self._catalogue.find(name), found)
        except Exception as error:
            return functools.partial(_refuse, error)

    def cancel(self, peer: Peer, seq: int) -> None:
        """Gives up a request whose client wants no answer any more."""
        for pending in self._queues.get(peer, ()):
            if pending.request.seq == seq and not pending.answered:
                pending.answered = True
                self._send(peer, cancelled(seq))

    def refuse_the_rest(self) -> None:
        """Answers those that are not done before the end."""
        for peer, queue in self._queues.items():
            for pending in [pending for pending in queue if not pending.answered]:
                pending.answered = True
                self._send(peer, stopped(pending.request.seq))

    def close(self) -> None:
        """Reads no more."""
        for task in self._readers:
            task.cancel()


def _refuse(error: Exception) -> None:
    raise error
