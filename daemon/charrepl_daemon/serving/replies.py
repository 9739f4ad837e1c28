"""The requests that connections wait for, and the replies to them, sent by the thread that has them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from charrepl.wire import protocol
from charrepl_daemon.metrics.declarations import CLIENTS_LET_GO, SUPERSEDED
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.scheduler import Scheduler
from charrepl_daemon.sockets.connections import Connection
from charrepl_daemon.sockets.network_guests import NO_LONGER, Peer
from charrepl_daemon.sockets.outbox import Outbox
from charrepl_daemon.sockets.router import Router

_LOOK_S = 0.25  # between two looks at whether those who wait are still there
STOPPED = "the daemon was stopped: ask again"


class Replies:
    """What a server answers. Any thread may reply to the owner, the event loop to guests as well.

    `admits` says whether a peer may still be served, `later` has something called after so many seconds.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        socket_of: Callable[[Peer], Router],
        *,
        admits: Callable[[Peer], bool],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._scheduler = scheduler
        self._metrics = scheduler.metrics
        self._admits = admits
        # A reply may be the last one of a job, and show that its connection has gone, all at once.
        self._lock = threading.RLock()
        self._jobs: dict[Peer, set[Job]] = {}  # of each connection that waits for any
        self._through: dict[Peer, Connection] = {}  # what these came through
        self._looking = False
        self._later = later
        self._outbox: Outbox[Job] = Outbox(
            socket_of, lock=self._lock, sent=scheduler.sent, gone=self._gone, later=later
        )

    def expect(self, peer: Peer, job: Job, through: Connection | None = None) -> None:
        """Takes note that a connection waits for a job, and what it came through."""
        with self._lock:
            self._jobs.setdefault(peer, set()).add(job)
            if through is not None:
                self._through[peer] = through
            if not self._looking:
                self._looking = True
                self._later(_LOOK_S, self._look)

    def _look(self) -> None:
        """Gives up what those wait for who have left."""
        with self._lock:
            self._through = {peer: through for peer, through in self._through.items() if peer in self._jobs}
            for peer in [peer for peer, through in self._through.items() if not through.is_open]:
                self._outbox.let_go(peer)
            self._looking = bool(self._jobs)
            if self._looking:
                self._later(_LOOK_S, self._look)

    def forget(self, peer: Peer, job: Job) -> None:
        """Expects no more of a job."""
        with self._lock:
            jobs = self._jobs.get(peer, set())
            jobs.discard(job)
            if not jobs:
                self._jobs.pop(peer, None)

    def awaited(self) -> set[Peer]:
        """The connections that wait for something."""
        with self._lock:
            return set(self._jobs)

    def reply(self, peer: Peer, job: Job, reply: protocol.Reply) -> None:
        """Sends a job's reply, unless its final one was sent."""
        with self._lock:
            if job not in self._jobs.get(peer, set()):
                self._scheduler.sent(job)
                return  # this one was on its way from the other thread
            if not self._admits(peer):
                self._scheduler.abandon(job)
                reply = protocol.Error(seq=job.request.seq, code="forbidden", message=NO_LONGER)
            if protocol.is_final(reply):
                self.forget(peer, job)
            self.send(peer, reply, job)

    def send(self, peer: Peer, reply: protocol.Reply, job: Job | None = None) -> None:
        """Sends a reply, of a job or to what needs none."""
        if isinstance(reply, protocol.Superseded):
            self._metrics.count(SUPERSEDED)
        self._outbox.send(peer, protocol.encode(reply), job)

    def cancel(self, peer: Peer, seq: int) -> None:
        """Gives up a connection's job that it wants no answer to any more."""
        with self._lock:
            for job in [job for job in self._jobs.get(peer, ()) if job.request.seq == seq]:
                self._scheduler.abandon(job)
                self.reply(peer, job, cancelled(seq))

    def refuse_the_rest(self) -> None:
        """Answers what could not be finished before the end."""
        with self._lock:
            left = [(peer, job) for peer, jobs in self._jobs.items() for job in jobs]
        for peer, job in left:
            self.reply(peer, job, stopped(job.request.seq))

    def _gone(self, peer: Peer) -> None:
        self._metrics.count(CLIENTS_LET_GO)
        for job in self._jobs.pop(peer, set()):
            self._scheduler.abandon(job)


def cancelled(seq: int) -> protocol.Error:
    """The final reply to a request that was cancelled."""
    return protocol.Error(seq=seq, code="cancelled", message="cancelled, as was asked")


def stopped(seq: int) -> protocol.Error:
    """The final reply to a request that could not be finished before the end."""
    return protocol.Error(seq=seq, code="stopping", message=STOPPED)
