"""A text on its way to its scores, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator

from charrepl.wire import protocol
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model.scoring import next_piece
from charrepl_daemon.serving.job import Job


class ScoreJob(Job):
    """A `score`."""

    request: protocol.Score
    extra = "score"

    def _plan(self, engine: Engine) -> None:
        self._carry = self.request.carry
        self._scored = 0
        self._log_probs: list[float] = []
        self._done = False  # a text of no characters takes a step too

    def step(self) -> None:
        """Scores the next piece of its text."""
        request, engine = self.request, self.engine
        assert engine is not None
        digest = engine.digest if self._scored else request.digest
        piece, before = next_piece(request, self._scored)
        self._carry, log_probs = engine.score(piece, self._carry, digest, before=before)
        self._scored += len(piece)
        self._log_probs += log_probs
        self._done = self._scored >= len(request.text)

    @property
    def done(self) -> bool:
        """Whether the whole text is scored."""
        return self._done

    @property
    def begun(self) -> bool:
        """The same, because scores are sent all together."""
        return self._done

    def pieces(self) -> Iterator[protocol.Reply]:
        """The scores, once they are all there."""
        if self._done:
            assert self.engine is not None
            yield protocol.Scores(
                seq=self.request.seq,
                log_probs=self._log_probs,
                carry=self._carry,
                digest=self.engine.digest,
            )
