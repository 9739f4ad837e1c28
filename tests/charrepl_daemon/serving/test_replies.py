"""Each job has one final reply, whoever has it first, and whoever has left is waited for no longer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from charrepl.wire import protocol
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.jobs import job_for
from charrepl_daemon.serving.replies import Replies
from charrepl_daemon.serving.scheduler import Scheduler
from charrepl_daemon.sockets.connections import Connection
from charrepl_daemon.sockets.network_guests import Peer
from charrepl_daemon.sockets.router import Router


class Line:
    """A client's socket, and the replies of a server whose device does nothing yet."""

    def __init__(self, context: zmq.Context) -> None:
        self.scheduler = Scheduler(most_models=1, cache_bytes=1 << 20)
        self.due: list[Callable[[], None]] = []  # what was to be called later
        router = Router(context)
        router.bind("inproc://replies")
        self.router = router
        self.client = context.socket(zmq.DEALER)
        self.client.connect("inproc://replies")
        self.client.send(b"here I am")
        self.peer = Peer(router.recv_multipart()[0])
        self.replies = Replies(
            self.scheduler,
            lambda _: router,
            admits=lambda _: True,
            later=lambda _, call: self.due.append(call),
        )

    def ask(self, seq: int, through: Connection | None = None) -> Job:
        """A job of the client's."""
        job = job_for(
            protocol.Score(seq=seq, text="a"),
            directory=Path("/"),
            connection=self.peer,
            deliver=self.replies.reply,
            through=through,
        )
        self.scheduler.submit(job)
        self.replies.watch()
        return job

    def received(self) -> list[protocol.Reply]:
        """The replies that have come."""
        found = []
        while self.client.poll(0):
            found.append(protocol.decode_reply(self.client.recv()))
        return found


@pytest.fixture
def line() -> Iterator[Line]:
    context = zmq.Context()
    line = Line(context)
    yield line
    line.client.close(0)
    line.router.close(0)
    context.term()


def test_a_job_has_one_final_reply_whoever_has_it_first(line):
    job, other = line.ask(1), line.ask(2)
    line.replies.cancel(line.peer, 1)
    job.send(protocol.Error(seq=1, code="internal", message="it came too late"))
    line.replies.cancel(line.peer, 1)
    assert line.scheduler.unfinished(line.peer) == [other]
    line.replies.refuse_the_rest()
    line.replies.refuse_the_rest()
    assert [(reply.seq, reply.code) for reply in line.received()] == [(1, "cancelled"), (2, "stopping")]


def test_who_has_left_is_waited_for_no_longer(line):
    job = line.ask(1, Connection(-1, -1))
    line.due.pop()()
    assert job.cancelled
    assert line.scheduler.waiting() == 0
    assert line.scheduler.metrics.report()["faults"]["clients_let_go"] == 1
    job.send(protocol.Done(seq=1))
    assert line.received() == []
    line.due.pop()()  # once more, and as nobody waits, no more
    assert line.due == []
    line.ask(2)
    assert len(line.due) == 1


def test_who_has_connected_anew_is_there(line):
    read_end, write_end = os.pipe()
    job = line.ask(1, Connection(-1, -1))
    line.ask(2, Connection(read_end, os.fstat(read_end).st_ino))
    line.due.pop()()
    assert not job.cancelled
    os.close(read_end)
    os.close(write_end)
    line.due.pop()()
    assert job.cancelled
    assert line.scheduler.unfinished() == []
