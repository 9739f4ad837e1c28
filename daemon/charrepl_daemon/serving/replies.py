"""The replies to jobs: one final reply each, sent by the thread that has it. The scheduler keeps the jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from charrepl.wire import protocol
from charrepl_daemon.metrics.declarations import CLIENTS_LET_GO, SUPERSEDED
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.scheduler import Scheduler
from charrepl_daemon.sockets.network_guests import NO_LONGER, Peer
from charrepl_daemon.sockets.outbox import Outbox, Transport

_LOOK_S = 0.25  # between two checks that those who wait are still there
STOPPED = "the daemon was stopped: ask again"


class Replies:
    """What a server answers. Any thread may reply to the owner, the event loop to guests as well.

    `admits` says whether a peer may still be served, `later` calls something after so many seconds.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        socket_of: Callable[[Peer], Transport],
        *,
        admits: Callable[[Peer], bool],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._scheduler = scheduler
        self._metrics = scheduler.metrics
        self._admits = admits
        # A reply may be the last one of a job and, at the same time, show that its connection has gone.
        self._lock = threading.RLock()
        self._looking = False
        self._later = later
        self._outbox: Outbox[Job] = Outbox(
            socket_of, lock=self._lock, sent=scheduler.sent, gone=self._gone, later=later
        )

    def watch(self) -> None:
        """While there are jobs, checks which clients leave. On the event loop."""
        if not self._looking:
            self._looking = True
            self._later(_LOOK_S, self._look)

    def _look(self) -> None:
        """Gives up the jobs of clients that have left."""
        jobs = self._scheduler.unfinished()
        closed = {through for through in {job.through for job in jobs} if through and not through.is_open}
        # A client that has reconnected under the same name is there.
        there = {job.connection for job in jobs if job.through not in closed}
        for peer in {job.connection for job in jobs} - there:
            assert isinstance(peer, Peer)
            self._outbox.let_go(peer)
        self._looking = bool(jobs)
        if jobs:
            self._later(_LOOK_S, self._look)

    def reply(self, job: Job, reply: protocol.Reply) -> None:
        """Sends a job's reply, unless its final one was sent."""
        peer = job.connection
        assert isinstance(peer, Peer)
        with self._lock:
            if job.answered:
                self._scheduler.sent(job)
                return  # this one was on its way from the other thread
            if not self._admits(peer):
                self._scheduler.abandon(job)
                reply = protocol.Error(seq=job.request.seq, code="forbidden", message=NO_LONGER)
            job.answered = protocol.is_final(reply)
            self.send(peer, reply, job)

    def send(self, peer: Peer, reply: protocol.Reply, job: Job | None = None) -> None:
        """Sends a reply: of a job, or to a request that needs no job."""
        if isinstance(reply, protocol.Superseded):
            self._metrics.count(SUPERSEDED)
        self._outbox.send(peer, protocol.encode(reply), job)

    def cancel(self, peer: Peer, seq: int) -> None:
        """Gives up a connection's job if it wants no answer any more."""
        with self._lock:
            for job in self._unanswered(peer):
                if job.request.seq == seq:
                    self._scheduler.abandon(job)
                    self.reply(job, cancelled(seq))

    def refuse_the_rest(self) -> None:
        """Answers what could not be finished before the end."""
        for job in self._unanswered():
            self.reply(job, stopped(job.request.seq))

    def _unanswered(self, peer: Peer | None = None) -> list[Job]:
        return [job for job in self._scheduler.unfinished(peer) if not job.answered]

    def _gone(self, peer: Peer) -> None:
        self._metrics.count(CLIENTS_LET_GO)
        for job in self._unanswered(peer):
            job.answered = True
            self._scheduler.abandon(job)


def cancelled(seq: int) -> protocol.Error:
    """The final reply to a request that was cancelled."""
    return protocol.Error(seq=seq, code="cancelled", message="cancelled, as was asked")


def stopped(seq: int) -> protocol.Error:
    """The final reply to a request that could not be finished before the end."""
    return protocol.Error(seq=seq, code="stopping", message=STOPPED)
