"""Ghosts on their way: one or several alternatives, or the one that beam search finds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import msgspec

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.engine.alternatives import distinct
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model.beam_search import Search
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.work_ahead import WorkAhead


class CompletionJob(Job):
    """A `complete`, which a newer one of its session supersedes."""

    request: protocol.Complete
    is_ghost = True

    @property
    def session(self) -> Hashable:
        """One of its connection's sessions."""
        return self.connection, self.request.session

    def supersede(self) -> None:
        """Tells its client that a newer request of its session has replaced it."""
        self.send(protocol.Superseded(seq=self.request.seq, session=self.request.session))

    def note_typed(self, work_ahead: WorkAhead) -> None:
        """Lets the daemon compute what its writer will want next."""
        assert self.engine is not None
        work_ahead.note(self.session, self.engine, self.request, self._only_ghost())

    def _only_ghost(self) -> Generation | None:
        return None


class GhostJob(CompletionJob):
    """One ghost or several, as they are decoded."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sent: dict[int, protocol.Ghost] = {}  # what was sent last of each ghost

    def _plan(self, engine: Engine) -> None:
        self.generations = engine.planner.ghosts(self.session, self.request)

    def rows(self) -> list[Generation]:
        """The generations that go on. While the text is read, only the first: others begin from its carry."""
        first = self.generations[0]
        return [first] if first.unread and not first.done else super().rows()

    def _only_ghost(self) -> Generation | None:
        return self.generations[0] if len(self.generations) == 1 else None

    def pieces(self) -> Iterator[protocol.Reply]:
        """What is new of its ghosts, the final reply last if they are done."""
        request = self.request
        offered = self._offered()
        final = self.done  # ghosts that are not offered are finished
        if not all(self._agrees(sent, offered) for sent in self._sent.values()):
            for w in self.generations:
                w.done = True
            yield msgspec.structs.replace(self._sent[max(self._sent)], final=True)
            return
        news = [rank for rank, w in enumerate(offered) if w.ready > len(self._sent_of(rank))]
        if final and not news:
            news = [len(offered) - 1]  # the final reply must come even if it brings nothing new
        for rank in news:
            w = offered[rank]
            self._sent[rank] = protocol.Ghost(
                seq=request.seq,
                session=request.session,
                text=w.text[: w.ready],
                log_probs=w.log_probs[: w.ready],
                final=final and rank == news[-1],
                alternative=rank,
            )
            yield self._sent[rank]

    def _sent_of(self, rank: int) -> str:
        return self._sent[rank].text if rank in self._sent else ""

    def _agrees(self, sent: protocol.Ghost, offered: list[Generation]) -> bool:
        """Whether a ghost agrees with what was sent of it, or still may: its model may have been reloaded."""
        if sent.alternative >= len(offered):
            return not self.done
        w = offered[sent.alternative]
        text = w.text[: w.ready]
        return text.startswith(sent.text) or (not w.done and sent.text.startswith(text))

    def _offered(self) -> list[Generation]:
        """The ghosts to show, as far as that is known. The others are given up."""
        if len(self.generations) == 1 or self.generations[0].before is None:
            return self.generations
        ways = [(w.text[: w.ready], w.done) for w in self.generations]
        chosen = [self.generations[i] for i in distinct(ways, self.request.alternatives)]
        if len(chosen) == self.request.alternatives:
            for w in self.generations:
                w.done |= w not in chosen
        return chosen or self.generations[:1]


class BeamSearchJob(CompletionJob):
    """The ghost that beam search finds: its generation reads the text, and the search follows."""

    extra = "search"
    _search: Search

    def _plan(self, engine: Engine) -> None:
        if self.request.alternatives > 1:
            raise CharreplError(
                "beam search finds one ghost: leave out beam, or alternatives", code="bad_request"
            )
        reading, self._search = engine.planner.searched(self.session, self.request)
        self.generations = [reading]

    def step(self) -> None:
        """The next steps of the search."""
        assert self.engine is not None
        self.engine.search(self._search)

    @property
    def done(self) -> bool:
        """Whether the ghost is found."""
        return not self.rows() and self._search.done

    @property
    def begun(self) -> bool:
        """Whether the ghost is found: before that, nothing of it is known."""
        return self.done

    def pieces(self) -> Iterator[protocol.Reply]:
        """The ghost, once it is found."""
        if self.done:
            assert self.engine is not None
            text, log_probs = self.engine.found(self._search)
            yield protocol.Ghost(
                seq=self.request.seq,
                session=self.request.session,
                text=text,
                log_probs=log_probs,
                final=True,
            )
