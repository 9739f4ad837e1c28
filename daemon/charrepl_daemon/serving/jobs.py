"""Which kind of job a request becomes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

from charrepl.wire import protocol
from charrepl_daemon.serving.ghost_jobs import BeamSearchJob, GhostJob
from charrepl_daemon.serving.job import Job, Work
from charrepl_daemon.serving.passage_jobs import PassageJob
from charrepl_daemon.serving.score_jobs import ScoreJob
from charrepl_daemon.sockets.connections import Connection


def job_for(
    request: Work,
    *,
    directory: Path,
    connection: Hashable,
    deliver: Callable[[Job, protocol.Reply], None],
    through: Connection | None = None,
) -> Job:
    """The job of a request; the arguments are those of `Job`."""
    kind: type[Job]
    match request:
        case protocol.Complete():
            kind = BeamSearchJob if request.decoding.beam else GhostJob
        case protocol.Sample():
            kind = PassageJob
        case protocol.Score():
            kind = ScoreJob
    return kind(request, directory=directory, connection=connection, deliver=deliver, through=through)
