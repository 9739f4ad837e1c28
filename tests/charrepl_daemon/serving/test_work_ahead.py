"""Ghosts that are known before they are asked for: they are those of a fresh engine, and cost no call."""

from __future__ import annotations

import gc
import random
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from charrepl.client import Client
from charrepl.ghost.state import next_word
from charrepl.wire import protocol
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.serving import work_ahead
from charrepl_daemon.serving.work_ahead import WorkAhead
from tests.charrepl_daemon import engine_requests
from tests.charrepl_daemon.reference import MARGIN, Reference
from tests.waiting import DEADLINE_S

LEAST = 0.02


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> Engine:
    return Engine(model_dir, cache_bytes=4 << 20)


def plan(engine: Engine, session: str, text: str, **settings: object) -> Generation:
    return engine_requests.ghost(engine, text, session=session, **{"max_chars": 24, **settings})


def finished(engine: Engine, generation: Generation) -> Generation:
    while not generation.done:
        engine.step([generation])
    engine.release(generation)
    return generation


def all_ahead(engine: Engine, ghost: Generation, *, most: int = 1000) -> None:
    """What is done while nobody asks, so many steps of it."""
    ahead = engine.planner.ahead(ghost)
    while ahead is not None and not ahead.done and most:
        engine.step([ahead])
        most -= 1


def assert_alike(reference: Reference, text: str, written: Generation, fresh: Generation) -> None:
    """The same ghost, or one that parts from it where two characters, or the threshold, are very close."""
    if written.text == fresh.text:
        np.testing.assert_allclose(written.log_probs, fresh.log_probs, atol=MARGIN)
        return
    common = [a for a, b in zip(written.text, fresh.text, strict=False) if a == b]
    shared = "".join(common)
    assert written.text.startswith(shared) and fresh.text.startswith(shared)
    carry = reference.read(text)
    for token in reference.vocabulary.encode(shared):
        carry = reference.step(carry, token)
    second, first = np.sort(reference.log_probs(carry)[1:])[-2:]
    joint = sum(fresh.log_probs[: len(shared)]) + first
    assert first - second < MARGIN or abs(joint - np.log(LEAST)) < MARGIN


@pytest.mark.parametrize("cache_bytes", [4 << 20, 0])  # the latter evicts
def test_whatever_was_done_ahead_a_ghost_is_that_of_a_fresh_engine(engine, model_dir, cache_bytes):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng, text, tested = random.Random(seed), "", Engine(model_dir, cache_bytes=cache_bytes)
    reference = Reference(model_dir)
    settings = {"max_chars": 20, "stop": "line", "min_confidence": LEAST}
    for i in range(80):
        ghost = finished(tested, plan(tested, "s", text, **settings))
        fresh = finished(engine, plan(engine, f"fresh {i}", text, **settings))
        assert_alike(reference, text, ghost, fresh)
        all_ahead(tested, ghost, most=rng.choice([0, 1, 2, 100]))
        kind = rng.random()
        if kind < 0.3:
            text += ghost.text
        elif kind < 0.5:
            text += next_word(ghost.text)
        elif kind < 0.6:
            text += ghost.text[: rng.randrange(len(ghost.text) + 1)]
        elif kind < 0.75:
            text = text[: max(0, len(text) - rng.randrange(1, 30))]
        elif kind < 0.8:
            text += "the night is wet " * rng.randrange(1, 20)
        else:
            text += rng.choice(["t", "cup", "COOK:\n", " ", "é"])
    assert tested.stats()["answered_ahead"] > 8


@pytest.mark.parametrize("part", [str, next_word, lambda ghost: ghost[:11]])
def test_whatever_part_of_a_ghost_is_taken_what_follows_is_known(model_dir, part):
    engine = Engine(model_dir, cache_bytes=4 << 20)
    ghost = finished(engine, plan(engine, "s", "every "))
    all_ahead(engine, ghost)
    before = engine.stats()
    after = plan(engine, "s", "every " + part(ghost.text))
    assert after.done
    assert len(after.text) == 24
    assert engine.stats()["device_calls"] == before["device_calls"]
    assert engine.planner.ahead(ghost) is None  # nothing is worked out twice
    on = finished(engine, plan(engine, "s", "every " + part(ghost.text) + "z"))
    assert engine.stats()["characters_read"] == before["characters_read"] + 1  # the carry was there too
    assert len(on.text) == 24


def test_what_other_settings_choose_is_not_taken_for_known(model_dir):
    engine = Engine(model_dir, cache_bytes=4 << 20)
    finished(engine, plan(engine, "s", "every "))
    assert plan(engine, "s", "every ", decoding=Decoding(seed=5)).done  # of no effect on a greedy ghost
    drawn = Decoding(temperature=1.0, seed=5)
    assert not plan(engine, "s", "every ", decoding=drawn).begun
    sampled = finished(engine, plan(engine, "s", "every ", decoding=drawn))
    all_ahead(engine, sampled)
    assert plan(engine, "s", "every " + sampled.text, decoding=drawn).done  # keys are of the position
    assert not plan(engine, "s", "every ", decoding=Decoding(temperature=1.0, seed=6)).begun
    assert not plan(engine, "t", "every ").begun  # nor what another session chose


def test_ahead_of_the_window_that_comes_next_nothing_is_written(engine):
    ghost = finished(engine, plan(engine, "w", ("The kettle sings. " * 120)[:2040]))
    assert engine.planner.ahead(ghost) is None  # its end is in another window


class Clock:
    """Stands for time, which the idle work waits for."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(work_ahead, "time", clock)
    return clock


def noted(engine: Engine, session: str, text: str = "every ") -> tuple[WorkAhead, Generation]:
    work = WorkAhead()
    ghost = finished(engine, plan(engine, session, text))
    request = protocol.Complete(seq=1, session=session, text=text)
    work.note(session, engine, request, ghost)
    return work, ghost


def test_it_begins_after_a_moment_and_goes_in_small_steps_to_an_end(engine, clock):
    work, ghost = noted(engine, "steps")
    before = engine.stats()["characters_ahead"]
    work.step()
    assert work.wait_s() > 0  # who asks at once is waited for
    clock.now += 1
    done = [before]
    while work.wait_s() is not None:
        assert work.wait_s() == 0
        work.step()
        done.append(engine.stats()["characters_ahead"])
    assert done[-1] == before + len(ghost.text)
    assert max(np.diff(done)) <= 4


def test_whoever_typed_last_comes_first_and_nobody_is_forgotten(engine, clock):
    work, first = noted(engine, "first")
    clock.now += 1
    work.step()
    work.step()  # it is under way
    before = engine.stats()["characters_ahead"]
    second = finished(engine, plan(engine, "second", "COOK:\nThe "))
    request = protocol.Complete(seq=1, session="second", text="COOK:\nThe ")
    work.note("second", engine, request, second)
    clock.now += 1
    while engine.planner.ahead(second) is not None:
        work.step()
    assert engine.stats()["characters_ahead"] == before + 24
    while work.wait_s() is not None:
        work.step()
    assert engine.planner.ahead(first) is None


def test_nothing_is_done_for_who_asks_himself_or_has_stopped_long_ago(engine, clock):
    before = engine.stats()["characters_ahead"]
    work, _ = noted(engine, "asks")
    clock.now += 1
    work.step()
    work.step()
    assert engine.stats()["characters_ahead"] == before + 4
    work.leave("asks")
    assert work.wait_s() is None
    work, _ = noted(engine, "stopped")
    clock.now += 60
    work.step()
    assert work.wait_s() is None
    assert engine.stats()["characters_ahead"] == before + 4


def test_who_left_keeps_no_model_that_was_replaced_while_others_go_on(engine, model_dir, clock):
    replaced = Engine(model_dir, cache_bytes=8 << 20)
    gone = weakref.ref(replaced)
    work, ghost = noted(replaced, "left")
    request = protocol.Complete(seq=1, session="stays", text="every ")
    other = finished(engine, plan(engine, "stays", "every "))
    clock.now += 9
    work.note("stays", engine, request, other)
    del replaced, ghost
    gc.collect()
    assert gone() is not None  # it may come back
    clock.now += 2
    work.note("stays", engine, request, other)
    gc.collect()
    assert gone() is None


# Through a real socket


@pytest.fixture
def client(shared_daemon) -> Iterator[Client]:
    with Client(autostart=False) as client:
        yield client


def figures(client: Client) -> dict[str, int]:
    (model,) = client.status()["models"]
    return model


def ask(client: Client, session: str, text: str) -> list[protocol.Ghost]:
    request = protocol.Complete(seq=0, session=session, text=text, max_chars=24, stop="none")
    return list(client.stream(request))


def test_the_key_after_an_accept_is_answered_without_a_call(client):
    expected = figures(client)["characters_ahead"]
    for n, part in enumerate((next_word, str, next_word)):
        text = "The kettle s"
        accepted = part(ask(client, f"accepts {n}", text)[-1].text)
        expected += 24
        deadline = time.monotonic() + DEADLINE_S
        while (now := figures(client))["characters_ahead"] < expected:
            assert time.monotonic() < deadline, "nothing was decoded ahead"
        known = ask(client, f"accepts {n}", text + accepted)
        after = figures(client)
        assert len(known) == 1  # all of it at once
        assert len(known[0].text) == 24
        assert after["answered_ahead"] == now["answered_ahead"] + 1
        asked = [found["device_calls"] - found["device_calls_ahead"] for found in (now, after)]
        assert asked[0] == asked[1]
        expected += len(accepted)  # the continuation is made as long again
    assert client.status()["compiles_while_serving"] == 0
