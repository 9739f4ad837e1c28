"""A request on its way through the daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import msgspec

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.engine.alternatives import distinct
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine, Extra
from charrepl_daemon.model.beam_search import Search
from charrepl_daemon.model.scoring import next_piece

Work = protocol.Complete | protocol.Sample | protocol.Score


class Job:
    """A request on its way. `deliver` is given the job and a reply, in order, from any thread.

    `unsent` counts replies that were handed to `deliver` and have not left yet: a passage waits for a
    reader that is slower than the device.
    """

    def __init__(
        self,
        request: Work,
        *,
        directory: Path,
        connection: Hashable,
        deliver: Callable[[Job, protocol.Reply], None],
    ) -> None:
        self.request = request
        self.directory = directory
        self.connection = connection
        # Of a connection, for those that a newer request replaces.
        self.session = (connection, request.session) if isinstance(request, protocol.Complete) else connection
        self._deliver = deliver
        self.received = time.perf_counter()
        self.cancelled = False
        self.engine: Engine | None = None
        self.generations: list[Generation] = []
        self.search: Search | None = None  # what follows once its text is read
        self._said: dict[int, protocol.Ghost] = {}  # what was sent last of each ghost
        self.scored = 0
        self.carry = b""
        self.log_probs: list[float] = []
        self.taken_up: float | None = None
        self.first_piece = False
        self.moved = False  # whether it is a ghost that has begun anew with another engine
        self.unsent = 0
        self._counting = threading.Lock()

    def send(self, reply: protocol.Reply) -> None:
        """Has a reply delivered."""
        self._deliver(self, reply)

    def count_unsent(self, change: int) -> int:
        """Adds to `unsent`, which two threads do; returns it."""
        with self._counting:
            self.unsent += change
            return self.unsent

    @property
    def is_ghost(self) -> bool:
        """Whether somebody is waiting for it with a finger on a key."""
        return isinstance(self.request, protocol.Complete)

    @property
    def extra(self) -> Extra | None:
        """The program it takes besides the one for ghosts."""
        if isinstance(self.request, protocol.Score):
            return "score"
        return "search" if self.request.decoding.beam > 0 else None

    @property
    def searching(self) -> bool:
        """Whether its next step is one of beam search."""
        return self.search is not None and not self._unwritten

    @property
    def done(self) -> bool:
        """Whether its ghosts, or its passage, are written."""
        return not self._unwritten and (self.search is None or self.search.done)

    @property
    def begun(self) -> bool:
        """Whether there is anything to send yet."""
        return self.done if self.search else any(w.ready or w.done for w in self.generations)

    @property
    def _unwritten(self) -> bool:
        return any(not w.done for w in self.generations)

    def begin(self, engine: Engine) -> None:
        """Has the engine plan what is asked for. Raises CharreplError if that cannot be."""
        self.engine = engine
        request = self.request
        if isinstance(request, protocol.Score):
            self.carry = request.carry
        elif isinstance(request, protocol.Sample):
            if request.decoding.beam:
                raise CharreplError(
                    "beam search finds one ghost: ask for it with complete, not sample", code="bad_request"
                )
            self.generations = [engine.planner.passage(request)]
        elif request.decoding.beam:
            if request.alternatives > 1:
                raise CharreplError(
                    "beam search finds one ghost: leave out beam, or alternatives", code="bad_request"
                )
            reading, self.search = engine.planner.searched(self.session, request)
            self.generations = [reading]
        else:
            self.generations = engine.planner.ghosts(self.session, request)

    @property
    def movable(self) -> bool:
        """Whether it can begin anew with another engine: a ghost then goes on after what was sent of it."""
        return not isinstance(self.request, protocol.Sample) or not self.generations[0].begun

    def leave(self) -> None:
        """Gives back what it holds of its engine; it may begin with another then."""
        if self.engine is not None:
            for generation in self.generations:
                self.engine.release(generation)
        self.engine, self.generations, self.search = None, [], None
        self.scored, self.log_probs = 0, []

    def score(self) -> protocol.Scores | None:
        """Scores the next piece of its text; the reply, once that was the last."""
        request, engine = self.request, self.engine
        assert isinstance(request, protocol.Score) and engine is not None
        digest = engine.digest if self.scored else request.digest
        piece, before = next_piece(request, self.scored)
        self.carry, log_probs = engine.score(piece, self.carry, digest, before=before)
        self.scored += len(piece)
        self.log_probs += log_probs
        if self.scored < len(request.text):
            return None
        return protocol.Scores(
            seq=request.seq, log_probs=self.log_probs, carry=self.carry, digest=engine.digest
        )

    def pieces(self) -> Iterator[protocol.Reply]:
        """What is new of its ghosts or its passage, the final reply last if it is done."""
        request, final = self.request, self.done
        if isinstance(request, protocol.Sample):
            text = self.generations[0].news()
            if text or final:
                yield protocol.Chunk(seq=request.seq, text=text, final=final)
            return
        assert isinstance(request, protocol.Complete)
        if self.search is not None:
            if final:
                assert self.engine is not None
                text, log_probs = self.engine.found(self.search)
                yield protocol.Ghost(
                    seq=request.seq, session=request.session, text=text, log_probs=log_probs, final=True
                )
            return
        offered = self._offered(request)
        final = self.done  # what is not offered is done with
        if not all(self._agrees(said, offered) for said in self._said.values()):
            for w in self.generations:
                w.done = True
            yield msgspec.structs.replace(self._said[max(self._said)], final=True)
            return
        news = [rank for rank, w in enumerate(offered) if w.ready > len(self._said_of(rank))]
        if final and not news:
            news = [len(offered) - 1]  # the final reply must come, if it brings nothing new
        for rank in news:
            w = offered[rank]
            self._said[rank] = protocol.Ghost(
                seq=request.seq,
                session=request.session,
                text=w.text[: w.ready],
                log_probs=w.log_probs[: w.ready],
                final=final and rank == news[-1],
                alternative=rank,
            )
            yield self._said[rank]

    def _said_of(self, rank: int) -> str:
        return self._said[rank].text if rank in self._said else ""

    def _agrees(self, said: protocol.Ghost, offered: list[Generation]) -> bool:
        """Whether a ghost is what was sent of it, or still may be: its model may have been loaded anew."""
        if said.alternative >= len(offered):
            return not self.done
        w = offered[said.alternative]
        text = w.text[: w.ready]
        return text.startswith(said.text) or (not w.done and said.text.startswith(text))

    def _offered(self, request: protocol.Complete) -> list[Generation]:
        """The ghosts to show, as far as it is known which; what is not among them is not gone on with."""
        if len(self.generations) == 1 or self.generations[0].before is None:
            return self.generations
        ways = [(w.text[: w.ready], w.done) for w in self.generations]
        chosen = [self.generations[i] for i in distinct(ways, request.alternatives)]
        if len(chosen) == request.alternatives:
            for w in self.generations:
                w.done |= w not in chosen
        return chosen or self.generations[:1]
