"""Which requests have the next step: nobody waits long, whatever others ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.serving.batch_selection import BatchSelection
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.jobs import job_for
from charrepl_daemon.serving.scheduler import _MOST_JOBS, Scheduler


@pytest.mark.parametrize(("others", "together"), [(0, 32), (1, 8), (6, 8), (12, 13), (40, 32)])
def test_many_texts_of_one_connection_make_no_call_longer_that_others_wait_for(others, together):
    def reads(connection: str) -> tuple[Job, Any]:
        job = job_for(
            protocol.Sample(seq=1), directory=Path("/"), connection=connection, deliver=lambda *_: None
        )
        return job, SimpleNamespace(unread=1000)

    rows = [reads("greedy") for _ in range(100)] + [reads(f"other {n}") for n in range(others)]
    chosen = BatchSelection().share(rows, 32)
    assert len(chosen) == together
    assert len({job.connection for job, _ in chosen}) == min(others + 1, 32)


def begun(request: protocol.Complete | protocol.Sample | protocol.Score, connection: str, model: Any) -> Job:
    job = job_for(request, directory=Path("/"), connection=connection, deliver=lambda *_: None)
    job.engine = model
    return job


def steps_until(job: Job, asks: Callable[[int], list[Job]], *, rows: int = 32) -> int:
    """How many steps others have before `job` has one, if they ask for something new before each."""
    choice = BatchSelection()
    for n in range(100):
        candidates = choice.first([*asks(n), job])
        together = [other for other in candidates if other.engine is candidates[0].engine]
        generation: Any = SimpleNamespace(unread=0)
        served = {other for other, _ in choice.share([(other, generation) for other in together], rows)}
        if job in served:
            return n
        choice.served(served)
    raise AssertionError("it never had one")


@pytest.mark.parametrize("rows", [1, 32])
@pytest.mark.parametrize("models", [0, 1, 3])
def test_who_waits_for_more_of_a_ghost_has_turns_however_many_others_ask(models, rows):
    my_model = object()
    mine = begun(protocol.Complete(seq=1, session="s", text="a"), "mine", my_model)
    mine.first_piece = True
    others = [object() for _ in range(models)] or [my_model]

    def asks(n: int) -> list[Job]:
        request = protocol.Complete(seq=n, session="s", text="a")
        return [begun(request, f"new {n} {who}", others[who % len(others)]) for who in range(6)]

    assert steps_until(mine, asks, rows=rows) <= 10


def test_a_passage_that_has_begun_has_turns_whatever_scores_are_asked_for():
    mine = begun(protocol.Sample(seq=1), "mine", "model")
    mine.first_piece = True
    assert (
        steps_until(mine, lambda n: [begun(protocol.Score(seq=n, text="a"), "greedy", "model")], rows=1) < 6
    )


def test_a_crowd_of_requests_of_one_connection_keeps_no_other_from_asking():
    scheduler = Scheduler(most_models=1, cache_bytes=1)  # whose thread does not run: all of them wait

    def ask(connection: str) -> None:
        request = protocol.Sample(seq=1)
        scheduler.submit(
            job_for(request, directory=Path("/"), connection=connection, deliver=lambda job, reply: None)
        )

    for _ in range(_MOST_JOBS):
        ask("greedy")
    for connection in ("greedy", "greedy"):
        with pytest.raises(CharreplError) as refused:
            ask(connection)
        assert refused.value.code == "busy"
    for n in range(100):
        ask(f"other {n}")
    assert scheduler.waiting() == _MOST_JOBS + 100
