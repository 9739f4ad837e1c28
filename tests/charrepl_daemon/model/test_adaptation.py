"""Adaptation: what the writer has invented is expected again, as a function of the text alone."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from charrepl.client import Client
from charrepl.client import client as client_module
from charrepl.errors import CharreplError
from charrepl.wire.context_window import window_start
from charrepl.wire.protocol import Complete, Decoding, Score
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine
from tests.charrepl_daemon import engine_requests
from tests.charrepl_daemon.conftest import LINES
from tests.charrepl_daemon.reference import MARGIN, Reference, adapted, greedy_difference

ADAPTING = Decoding(adapt=True)
INVENTED = "HOLGER:\nThe kringle sings, good Bendin, and the road is wet.\n\n"


@pytest.fixture(scope="module")
def reference(model_dir: Path) -> Reference:
    return Reference(model_dir)


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> Engine:
    engine = Engine(model_dir, cache_bytes=4 << 20)
    engine.compile(8)
    return engine


def ghost(
    engine: Engine, text: str, decoding: Decoding, *, session: str = "s", n: int = 1
) -> list[Generation]:
    """What is begun after `text`."""
    request = engine_requests.complete(text, max_chars=24, alternatives=n, decoding=decoding)
    return engine.planner.ghosts(session, request)


def finish(engine: Engine, generations: list[Generation]) -> list[Generation]:
    while left := [generation for generation in generations if not generation.done]:
        engine.step(left)
    for generation in generations:
        engine.release(generation)
    return generations


def losses(reference: Reference, text: str, *, adapts: bool) -> np.ndarray:
    """Log-probabilities of a text's characters, in nats, from a zero carry, in float64."""
    ids = reference.vocabulary.encode("\n" + text).tolist()
    carry, found = reference.start(), []
    for at, token in enumerate(ids[1:], 1):
        carry = reference.step(carry, ids[at - 1])
        log_probs = reference.log_probs(carry)
        if adapts:
            start = window_start(at - 1)
            log_probs = adapted(log_probs, ids[:1] + ids[1 + start : at])
        found.append(log_probs[token])
    return np.array(found)


def test_an_invented_name_completes_itself(engine):
    text = INVENTED * 2 + "COOK:\nThen fill it, good Ben"
    (adapting,), (plain,) = (finish(engine, ghost(engine, text, d)) for d in (ADAPTING, Decoding()))
    assert adapting.text.startswith("din")
    assert not plain.text.startswith("din")


@pytest.mark.parametrize("text", ["", "\n", "aaaa", LINES, INVENTED * 40, "é" * 2047, "the road " * 300])
def test_it_writes_what_counting_in_float64_gives(engine, reference, text):
    (written,) = finish(engine, ghost(engine, text, ADAPTING))
    margin = greedy_difference(reference, text, written, adapts=True)
    assert margin is None or margin < MARGIN


def test_writers_who_adapt_and_those_who_do_not_share_a_step(engine, reference):
    texts = [INVENTED * 3, LINES + "HOL", INVENTED + "every cup", LINES]
    generations = [
        ghost(engine, text, Decoding(adapt=i % 2 == 0), session=f"row {i}")[0] for i, text in enumerate(texts)
    ]
    for i, (text, written) in enumerate(zip(texts, finish(engine, generations), strict=True)):
        margin = greedy_difference(reference, text, written, adapts=i % 2 == 0)
        assert margin is None or margin < MARGIN


def test_where_a_part_of_a_ghost_is_taken_the_rest_stays(engine):
    text = INVENTED * 3 + "HOLGER:\nThe"
    (whole,) = finish(engine, ghost(engine, text, ADAPTING))
    for taken in range(1, 24):
        (rest,) = finish(engine, ghost(engine, text + whole.text[:taken], ADAPTING, session=f"{taken % 2}"))
        assert rest.text.startswith(whole.text[taken:])


def test_alternatives_adapt(engine, reference):
    text = INVENTED * 3 + "good B"
    log_probs = adapted(reference.log_probs(reference.read(text)), reference.vocabulary.encode("\n" + text))
    likeliest = reference.vocabulary.decode(np.argsort(-log_probs[1:])[:3] + 1)
    written = finish(engine, ghost(engine, text, ADAPTING, n=3))
    assert [w.text[0] for w in written] == list(likeliest)
    assert written[0].log_probs[0] == pytest.approx(log_probs.max(), abs=MARGIN)


def test_a_passage_does_not_adapt_even_when_asked(engine):
    passages = [
        engine_requests.passage(engine, INVENTED * 3, max_chars=100, decoding=decoding)
        for decoding in (ADAPTING, Decoding())
    ]
    adapting, plain = finish(engine, passages)
    assert adapting.text == plain.text


def test_scores_adapt_by_the_window_before_each_character(shared_daemon, reference, monkeypatch):
    rng = random.Random(7)
    words = [*INVENTED.split(), *LINES.split()[:30]]
    text = " ".join(rng.choice(words) for _ in range(450))[:2300]
    monkeypatch.setattr(client_module, "_SCORE_PIECE", 700)  # of none of the lengths that matter
    with Client() as client:
        for adapts in (True, False):
            got = list(client.score(text, adapt=adapts))
            np.testing.assert_allclose(got, losses(reference, text, adapts=adapts), atol=MARGIN)


def test_text_that_adapting_would_need_is_asked_for(shared_daemon):
    with Client() as client, pytest.raises(CharreplError, match="leaves out characters from 1024 on"):
        client.ask(Score(seq=0, text="x", adapt=True, before="x" * 952, offset=2048))


def test_by_default_the_wire_does_not_adapt(shared_daemon, reference):
    text = INVENTED * 3 + "good B"
    with Client() as client:
        replies = list(client.stream(Complete(seq=0, session="plain", text=text)))
        assert greedy_difference(reference, text, replies[-1]) in (None, pytest.approx(0, abs=MARGIN))
