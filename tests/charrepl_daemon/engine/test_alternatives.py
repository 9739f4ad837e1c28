"""Alternatives are different things to say, and none goes in circles."""

from __future__ import annotations

import pytest

from charrepl.ghost.repetition import straight
from charrepl.wire import protocol
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.alternatives import distinct
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.serving.jobs import job_for
from tests.charrepl_daemon import engine_requests


def done(*texts: str) -> list[tuple[str, bool]]:
    return [(text, True) for text in texts]


def test_ways_that_differ_in_their_first_letter_alone_are_one():
    assert distinct(done("will not be", "kill not be", "shall not be"), 4) == [0, 2]
    assert distinct(done("The king", "the queen", "a king"), 4) == [0, 2]
    assert distinct(done("a king", "a king", ""), 4) == [0]
    assert distinct(done("a king", "the king", "my king", "our king"), 2) == [0, 1]


def test_a_way_is_offered_once_it_can_be_told_from_those_before():
    assert distinct([("will not", False), ("kill", False)], 4) == [0]
    assert distinct([("will", False), ("kill the king", True)], 4) == []
    assert distinct([("will", True), ("shall be", False)], 4) == [0, 1]


@pytest.fixture(scope="module")
def engine(model_dir):
    """A model that has learnt a few lines by heart, and so goes in circles where it may."""
    return Engine(model_dir, cache_bytes=4 << 20)


def answered(engine: Engine, text: str, *, session: str, **settings) -> dict[int, str]:
    """What a request gets of each alternative, piece by piece, as the wire would have it."""
    replies: list[protocol.Reply] = []
    request = engine_requests.complete(text, **{"stop": "sentence", "max_chars": 48, **settings})
    job = job_for(request, directory=engine.directory, connection=session, deliver=lambda _, reply: None)
    job.begin(engine)
    while not job.done:
        engine.step([w for w in job.generations if not w.done][: engine.widest])
        replies += job.pieces()
    for generation in job.generations:
        engine.release(generation)
    ghosts: dict[int, str] = {}
    for reply in replies:
        assert isinstance(reply, protocol.Ghost)
        assert reply.text.startswith(ghosts.get(reply.alternative, ""))
        assert len(reply.log_probs) == len(reply.text)
        assert reply.alternative <= len(ghosts)  # they come in order, with none left out
        ghosts[reply.alternative] = reply.text
    assert [reply.final for reply in replies] == [False] * (len(replies) - 1) + [True]
    return ghosts


# Adapting to these, the greedy path goes round and round.
CIRCLES = [
    "to the brim, to the br",
    "fill fill ",
    "warm, warm, w",
    "and the road is long and the road is long and the ",
]
ADAPTING = Decoding(adapt=True)


@pytest.mark.parametrize("text", CIRCLES)
def test_neither_a_ghost_nor_an_alternative_goes_in_circles(engine, text):
    circling = answered(engine, text, session=f"1 {text}", stop="none", decoding=ADAPTING)[0]
    assert len(circling) == 48  # as a passage goes, which nothing but its reader ends
    assert straight(text, circling).length < 48
    (ghost,) = answered(engine, text, session=f"2 {text}", decoding=ADAPTING).values()
    assert ghost == circling[: straight(text, circling).length]
    ways = answered(engine, text, session=f"3 {text}", alternatives=4, decoding=ADAPTING)
    for way in ways.values():
        assert straight(text, way).length == len(way)
    assert distinct(done(*ways.values()), 8) == list(ways)


def test_taking_a_ghost_that_ended_before_a_circle_does_not_begin_the_circle(engine):
    text = "the brim, to the br"
    request = {"stop": "line", "max_chars": 48, "decoding": ADAPTING}
    ghost = engine_requests.ghost(engine, text, session="ahead", **request)
    while not ghost.done:
        engine.step([ghost])
    assert ghost.text
    ahead = engine.planner.ahead(ghost)
    while ahead is not None and not ahead.done:
        engine.step([ahead])
    known = engine_requests.ghost(engine, text + ghost.text, session="ahead", **request)
    (fresh,) = answered(engine, text + ghost.text, session="fresh", **request).values()
    assert known.done
    assert known.text == fresh
    assert straight(text + ghost.text, fresh).length == len(fresh)
