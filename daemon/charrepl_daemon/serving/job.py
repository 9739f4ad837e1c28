"""A request on its way through the daemon: what all kinds share, and what the scheduler calls."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

from charrepl.wire import protocol
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine, Extra
from charrepl_daemon.serving.work_ahead import WorkAhead
from charrepl_daemon.sockets.connections import Connection

Work = protocol.Complete | protocol.Sample | protocol.Score


class Job(abc.ABC):
    """A request on its way. `deliver` is given the job and a reply, in order, from any thread.

    `unsent` counts replies that were handed to `deliver` and have not left yet: a passage waits for a
    reader that is slower than the device.
    """

    request: Work
    is_ghost = False  # whether a person at the keyboard waits for it
    extra: Extra | None = None  # the program it takes besides the one for ghosts

    def __init__(
        self,
        request: Work,
        *,
        directory: Path,
        connection: Hashable,
        deliver: Callable[[Job, protocol.Reply], None],
        through: Connection | None = None,
    ) -> None:
        self.request = request
        self.directory = directory
        self.connection = connection
        self.through = through  # the connection as the system knows it, where it is known
        self._deliver = deliver
        self.received = time.perf_counter()
        self.cancelled = False  # nobody waits for it any more, or it is finished
        self.answered = False  # its final reply was handed over, or can reach nobody
        self.engine: Engine | None = None
        self.generations: list[Generation] = []
        self.taken_up: float | None = None
        self.first_piece = False
        self.moved = False  # whether it is a ghost that has begun again with another engine
        self.unsent = 0
        self._counting = threading.Lock()

    @property
    def session(self) -> Hashable:
        """Whose job it is: a connection, or one of its sessions if a newer request replaces the job."""
        return self.connection

    def send(self, reply: protocol.Reply) -> None:
        """Delivers a reply."""
        self._deliver(self, reply)

    def count_unsent(self, change: int) -> int:
        """Adds to `unsent`, and returns it. Two threads do so."""
        with self._counting:
            self.unsent += change
            return self.unsent

    def begin(self, engine: Engine) -> None:
        """Lets the engine plan what is asked for. Raises CharreplError if that is impossible."""
        self.engine = engine
        self._plan(engine)

    @abc.abstractmethod
    def _plan(self, engine: Engine) -> None: ...

    def rows(self) -> list[Generation]:
        """The generations that may share the engine's next step with others. If empty, call `step`."""
        return [generation for generation in self.generations if not generation.done]

    def step(self) -> None:
        """A call on the device for this job alone, once it has no rows left."""
        raise AssertionError("it is done")

    @property
    def done(self) -> bool:
        """Whether everything that was asked for is done."""
        return not self.rows()

    @property
    def begun(self) -> bool:
        """Whether there is anything to send yet."""
        return any(generation.ready or generation.done for generation in self.generations)

    @abc.abstractmethod
    def pieces(self) -> Iterator[protocol.Reply]:
        """What is new to send, the final reply last if it is done."""

    def supersede(self) -> None:  # noqa: B027 - most kinds have nothing to do
        """Tells its client that a newer request of its session has replaced it; for ghosts alone."""

    def note_typed(self, work_ahead: WorkAhead) -> None:  # noqa: B027 - most kinds have nothing to do
        """Lets the daemon compute what its writer will want next. Only for ghosts."""

    @property
    def movable(self) -> bool:
        """Whether it can begin again with another engine."""
        return True

    def leave(self) -> None:
        """Gives back what it holds of its engine. Then it may begin with another."""
        if self.engine is not None:
            for generation in self.generations:
                self.engine.release(generation)
        self.engine, self.generations = None, []
