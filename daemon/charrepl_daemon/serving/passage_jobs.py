"""A passage on its way, sent as it is written."""

from __future__ import annotations

from collections.abc import Iterator

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.serving.job import Job


class PassageJob(Job):
    """A `sample`."""

    request: protocol.Sample

    def _plan(self, engine: Engine) -> None:
        if self.request.decoding.beam:
            raise CharreplError(
                "beam search finds one ghost: ask for it with complete, not sample", code="bad_request"
            )
        self.generations = [engine.planner.passage(self.request)]

    @property
    def movable(self) -> bool:
        """Whether nothing is written yet: another model would not continue in the same way."""
        return not self.generations[0].begun

    def pieces(self) -> Iterator[protocol.Reply]:
        """What is new of the passage."""
        final = self.done
        text = self.generations[0].news()
        if text or final:
            yield protocol.Chunk(seq=self.request.seq, text=text, final=final)
