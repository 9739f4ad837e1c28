"""The engine on a small real model, against a float64 LSTM and against itself."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import numpy as np
import pytest

from charrepl.errors import CharreplError
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.engine.greedy_cache import GreedyCache
from charrepl_daemon.model.programs import MAX_FED, PIECE
from charrepl_train.model_directory import checkpoint, loaded_model
from tests.charrepl_daemon import engine_requests
from tests.charrepl_daemon.reference import MARGIN, Reference, greedy_difference


@pytest.fixture(scope="module")
def reference(model_dir: Path) -> Reference:
    return Reference(model_dir)


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> Engine:
    return Engine(model_dir, cache_bytes=4 << 20)


def write(
    engine,
    text,
    *,
    session="s",
    max_chars=48,
    stop="line",
    n=1,
    least=0.0,
    decoding=None,
    from_=0,
    alone=False,
):
    """The finished writings after `text`."""
    request = engine_requests.complete(
        text[from_:],
        offset=from_,
        max_chars=max_chars,
        stop=stop,
        alternatives=n,
        min_confidence=least,
        decoding=decoding or Decoding(),
    )
    generations = engine.planner.ghosts(session, request)
    while left := [w for w in generations if not w.done]:
        engine.step(left[: 1 if alone else engine.widest])
    for generation in generations:
        engine.release(generation)
    return generations


def finish_rightly(engine, reference, texts, generations):
    """Writes all to their ends, side by side, and holds each against the reference."""
    while left := [w for w in generations if not w.done]:
        engine.step(left)
    for text, written in zip(texts, generations, strict=True):
        margin = greedy_difference(reference, text, written)
        assert margin is None or margin < MARGIN


@pytest.mark.parametrize("text", ["", "MASTER:\n", "every cup is w", "COOK:\nunseen Ünicode\n", "x" * 3000])
def test_it_writes_what_a_float64_lstm_writes(engine, reference, text):
    (written,) = write(engine, text, max_chars=500, stop="none")
    assert len(written.text) == 500
    margin = greedy_difference(reference, text, written)
    assert margin is None or margin < MARGIN


def test_any_order_of_edits_gives_the_ghost_of_a_fresh_engine(engine, reference, model_dir):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng, text, small = random.Random(seed), "", Engine(model_dir, cache_bytes=0)  # and one that evicts
    for _ in range(60):
        kind, place = rng.random(), rng.randrange(len(text) + 1)
        if kind < 0.5:
            text += rng.choice(["the ", "cup ", "warm, ", "\n", "COOK:\n", "é"])
        elif kind < 0.7:
            text = text[: max(0, len(text) - rng.randrange(1, 9))]
        elif kind < 0.8:
            text = text[:place] + "road" + text[place:]
        elif kind < 0.9:
            text += "the night is wet " * rng.randrange(1, 80)
        else:
            text = text[:place]
        for each, session in ((engine, "edits"), (small, rng.choice("ab"))):
            adapts = rng.random() < 0.5
            (written,) = write(each, text, session=session, max_chars=16, decoding=Decoding(adapt=adapts))
            margin = greedy_difference(reference, text, written, adapts=adapts)
            assert margin is None or margin < MARGIN


def test_the_same_text_in_windows_cut_differently_gives_the_same_ghost(engine):
    text = "The kettle sings, and every cup is warm. " * 80
    whole, cut = (write(engine, text, session=s, from_=f)[0] for s, f in (("w", 0), ("c", 1024)))
    assert (whole.text, whole.log_probs) == (cut.text, cut.log_probs)


def test_an_offset_inside_the_window_is_refused(engine):
    with pytest.raises(CharreplError, match="leaves out characters from 1024 on"):
        write(engine, "x" * 3000, from_=2048)


def test_a_row_in_a_batch_writes_what_it_writes_alone(engine, reference):
    engine.compile(8)
    prompts = ["MASTER:\n", "the road is ", "COOK", "and every", "x"]
    generations = [
        engine_requests.ghost(engine, p, session=f"row {i}", max_chars=24) for i, p in enumerate(prompts)
    ]
    finish_rightly(engine, reference, prompts, generations)


def test_a_crowd_writes_in_short_pieces_so_that_nobody_waits_long(model_dir, reference):
    engine = Engine(model_dir, cache_bytes=4 << 20)
    engine.compile(32)
    few, many = 8, 9
    prompts = ["the kettle "[:n] for n in range(1, many + 1)]
    generations = [engine_requests.ghost(engine, p, session=f"crowd {p}", max_chars=24) for p in prompts]
    engine.step(generations[:few])
    assert {len(w.text) for w in generations[:few]} == {PIECE}
    engine.step(generations)
    assert {len(w.text) for w in generations[few:]} == {3}
    finish_rightly(engine, reference, prompts, generations)


def test_a_ghost_ends_with_the_newline_after_something_visible(engine):
    (written,) = write(engine, "the one you hold in your hand.", max_chars=200)
    assert written.text.strip()
    assert written.text.endswith("\n")
    assert "\n" not in written.text.strip()


def test_a_ghost_is_cut_where_its_joint_probability_falls_below_the_threshold(engine):
    text = "and zz"
    (full,) = write(engine, text, session="f", max_chars=40, stop="none")
    (cut,) = write(engine, text, session="c", max_chars=40, stop="none", least=0.3)
    joint = np.exp(np.cumsum(full.log_probs))
    assert cut.text == full.text[: int((joint >= 0.3).cumprod().sum())]
    assert len(cut.text) < len(full.text)


def test_a_sentence_ends_at_its_full_stop(engine):
    (written,) = write(engine, "the road is long and", max_chars=300, stop="sentence")
    assert written.text[-1] in ".!?\n"
    assert not set(written.text[:-1].strip()) & set(".!?\n")


@pytest.mark.parametrize("alone", [True, False])
def test_alternatives_differ_in_their_first_character_and_ignore_the_threshold(engine, reference, alone):
    engine.compile(8)
    generations = write(engine, "every cup", n=4, least=0.99, max_chars=12, stop="none", alone=alone)
    carry = reference.read("every cup")
    likeliest = np.argsort(-reference.log_probs(carry)[1:])[:4] + 1
    assert [w.text[0] for w in generations] == list(reference.vocabulary.decode(likeliest))
    assert all(len(w.text) == 12 for w in generations)
    lively = write(engine, "every cup", n=4, max_chars=12, stop="none", decoding=Decoding(temperature=2.0))
    assert [w.text[0] for w in lively] == [w.text[0] for w in generations]


def test_the_unknown_character_is_never_written(engine):
    text = "∀" * 50
    for seed in range(5):
        (written,) = write(engine, text, stop="none", decoding=Decoding(temperature=10, seed=seed))
        assert "�" not in written.text


def test_sampling_with_one_candidate_is_greedy(engine):
    (greedy,) = write(engine, "COOK:\n")
    for decoding in (Decoding(temperature=5, top_k=1), Decoding(temperature=5, top_p=1e-9)):
        (sampled,) = write(engine, "COOK:\n", decoding=decoding)
        assert sampled.text == greedy.text


def test_a_seed_gives_the_same_text_whatever_was_cached(engine, model_dir):
    decoding = Decoding(temperature=1.5, seed=7)
    (first,) = write(engine, "the ", session="x", stop="none", decoding=decoding)
    write(engine, "the other ", session="x")
    (again,) = write(engine, "the ", session="x", stop="none", decoding=decoding)
    (fresh,) = write(Engine(model_dir, cache_bytes=0), "the ", stop="none", decoding=decoding)
    (other,) = write(engine, "the ", stop="none", decoding=Decoding(temperature=1.5, seed=8))
    assert first.text == again.text == fresh.text != other.text


def test_sampled_characters_follow_the_distribution(engine, reference):
    expected = np.exp(reference.log_probs(reference.read("and")))
    expected[0] = 0
    expected /= expected.sum()
    draws = 600
    counts = np.zeros(len(expected))
    for seed in range(draws):
        (written,) = write(
            engine, "and", max_chars=1, stop="none", decoding=Decoding(temperature=1, seed=seed)
        )
        counts[reference.vocabulary.encode(written.text)[0]] += 1
    # Seeds are fixed, so this is no gamble; 4 sigma of the likeliest character's count.
    top = expected.argmax()
    assert abs(counts[top] - draws * expected[top]) < 4 * np.sqrt(draws * expected[top])
    assert np.abs(counts / draws - expected).sum() < 0.2


def test_top_k_leaves_only_the_likeliest(engine, reference):
    likeliest = set(np.argsort(-reference.log_probs(reference.read("and"))[1:])[:3] + 1)
    drawn = set()
    for seed in range(60):
        (written,) = write(
            engine, "and", max_chars=1, stop="none", decoding=Decoding(temperature=9, top_k=3, seed=seed)
        )
        drawn.add(int(reference.vocabulary.encode(written.text)[0]))
    assert drawn == likeliest


def test_a_passage_goes_on_past_the_window(engine, reference):
    generation = engine_requests.passage(engine, "MASTER:\n", max_chars=3000)
    while not generation.done:
        engine.step([generation])
    engine.release(generation)
    margin = greedy_difference(reference, "MASTER:\n", generation)
    assert len(generation.text) == 3000
    assert margin is None or margin < MARGIN


def test_scores_are_those_of_a_float64_lstm_and_the_same_in_pieces(engine, reference):
    text = "COOK:\nThe road is löng."
    carry, whole = engine.score(text, b"", "")
    state, expected = reference.read(""), []
    for token in reference.vocabulary.encode(text):
        expected.append(reference.log_probs(state)[token])
        state = reference.step(state, token)
    np.testing.assert_allclose(whole, expected, atol=MARGIN)
    half, first = engine.score(text[:9], b"", "")
    end, second = engine.score(text[9:], half, engine.digest)
    np.testing.assert_allclose(first + second, whole, atol=1e-6)
    assert end == carry


@pytest.mark.parametrize(("carry", "digest"), [(b"x" * 10, None), (None, "another")])
def test_a_carry_of_another_model_is_refused(engine, carry, digest):
    good, _ = engine.score("a", b"", "")
    with pytest.raises(CharreplError, match="start again"):
        engine.score("b", carry or good, digest or engine.digest)


def test_after_the_device_fails_the_next_ghost_is_right(model_dir, reference):
    engine = Engine(model_dir, cache_bytes=1 << 20)
    write(engine, "every ")
    works = engine._compiled[1]

    def fails(params, store, rows):
        store.delete()  # as donation does
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")

    engine._compiled[1] = fails
    with pytest.raises(CharreplError, match="RESOURCE_EXHAUSTED"):
        write(engine, "every c")
    engine._compiled[1] = works
    (written,) = write(engine, "every cup")
    margin = greedy_difference(reference, "every cup", written)
    assert margin is None or margin < MARGIN


def test_a_passage_goes_on_rightly_after_the_device_failed_for_another(model_dir, reference):
    engine = Engine(model_dir, cache_bytes=1 << 20)
    passage = engine_requests.passage(engine, "COOK:\n", max_chars=60)
    engine.step([passage])
    works = engine._compiled[1]
    engine._compiled[1] = lambda params, store, rows: 1 / 0
    with pytest.raises(CharreplError, match="device failed"):
        write(engine, "every c")
    engine._compiled[1] = works
    while not passage.done:
        engine.step([passage])
    margin = greedy_difference(reference, "COOK:\n", passage)
    assert margin is None or margin < MARGIN


def test_a_text_far_into_a_book_has_the_ghost_of_its_window(engine, reference):
    text = "The kettle sings. " * 100
    near, far = (
        engine_requests.ghost(engine, text, session="far", offset=offset, max_chars=8)
        for offset in (0, 2**31 + 1024 * 5)
    )
    for w in (near, far):
        while not w.done:
            engine.step([w])
    assert near.text == far.text


def test_many_cold_writers_at_once_get_their_own_ghosts(model_dir, reference):
    engine = Engine(model_dir, cache_bytes=0)  # room for two long texts only
    engine.compile(8)
    texts = [f"{name}:\n" + "the road is wet " * 130 for name in ("COOK", "MASTER", "cup", "kettle", "rim")]
    waiting = [engine_requests.ghost(engine, name, session=name, max_chars=16) for name in texts]
    finish_rightly(engine, reference, texts, waiting)


def test_passages_and_alternatives_without_end_keep_none_from_being_written_rightly(model_dir):
    engine, alone = (Engine(model_dir, cache_bytes=0) for _ in range(2))
    engine.compile(32)
    passage = engine_requests.passage(engine, "every cup ", max_chars=24)
    engine.step([passage])
    passages = [passage]
    with pytest.raises(CharreplError, match="cache is full"):
        for _ in range(engine._slots):
            passages.append(engine_requests.passage(engine, "the road is ", max_chars=100_000))
    for n in range(0, len(passages), engine.widest):
        engine.step(passages[n : n + engine.widest])
    texts = [f"cup {n} " for n in range(10)]  # more alternatives than find room beside them
    asking = [
        engine.planner.ghosts(n, engine_requests.complete(t, max_chars=16, alternatives=8))
        for n, t in enumerate(texts)
    ]
    while left := [w for ghosts in asking for w in ghosts if not w.done]:
        for n in range(0, len(left), engine.widest):
            engine.step(left[n : n + engine.widest])
    while not passage.done:  # its carry made way meanwhile
        engine.step([passage])
    for text, ghosts in zip(texts, asking, strict=True):
        expected = write(alone, text, max_chars=16, stop="none", n=8)
        assert [w.text for w in ghosts] == [w.text for w in expected]
    fresh = engine_requests.passage(alone, "every cup ", max_chars=24)
    while not fresh.done:
        alone.step([fresh])
    assert passage.text == fresh.text
    for w in (*passages, *(w for ghosts in asking for w in ghosts)):
        engine.release(w)
    assert not engine._cache._owned
    assert engine_requests.passage(engine, "a", max_chars=1)


def test_a_carry_that_is_not_numbers_is_refused(engine):
    good, _ = engine.score("a", b"", "")
    for carry in (np.full(len(good) // 4, np.nan, np.float32).tobytes(), good[:-1]):
        with pytest.raises(CharreplError, match="start again"):
            engine.score("b", carry, engine.digest)


def test_weights_that_are_not_numbers_are_refused(model_dir, tmp_path):
    import shutil

    import jax
    import jax.numpy as jnp

    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    loaded = loaded_model.load(broken)
    checkpoint.save(
        broken, "best", loaded.step + 1, jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), loaded.params)
    )
    with pytest.raises(CharreplError, match="not numbers"):
        Engine(broken, cache_bytes=0)


def test_keys_leave_nothing_to_the_garbage_collector(engine):
    text = "the road is long and every cup is warm"

    def type_it() -> int:
        engine._known = engine.planner._known = GreedyCache()
        for n in range(20, len(text)):
            write(engine, text[:n], session="keys")
        return gc.collect()

    type_it()
    gc.disable()
    try:
        left, kept = [], []
        for _ in range(3):  # what other threads leave meanwhile is not there each time
            before = len(gc.get_objects())
            left.append(type_it())
            kept.append(len(gc.get_objects()) - before)
        assert min(left) == 0
        assert min(kept) < 100
    finally:
        gc.enable()


def test_a_long_text_is_read_in_pieces(engine, reference):
    text = "the night is wet " * 20
    written = engine_requests.ghost(engine, text, session="pieces", max_chars=8)
    assert written.unread == len(text) + 1
    while written.unread:
        before = written.unread
        assert not written.begun
        engine.step([written])
        assert before - MAX_FED <= written.unread < before
    assert written.begun  # the call that read the last of it wrote too
    margin = greedy_difference(reference, text, written)
    assert margin is None or margin < MARGIN


def test_a_text_is_read_once_however_many_slots_others_need_meanwhile(model_dir, reference):
    small, text = Engine(model_dir, cache_bytes=0), "every cup is warm, good master. " * 50
    small.compile(8)
    for n in range(300):  # those who leave in the middle of a text are forgotten
        small.step([engine_requests.ghost(small, text, session=f"left {n}")])
    pasted = engine_requests.ghost(small, text, session="paste", max_chars=8)
    for call in range(-(-pasted.unread // MAX_FED)):
        small.step([pasted])
        for n in range(3):  # they need all slots there are
            others = [engine_requests.ghost(small, f"cup {call}", session=f"{n} {k}") for k in range(8)]
            small.step(others)
            for other in others:
                small.release(other)
    assert not pasted.unread
    finish_rightly(small, reference, [text], [pasted])
    small.release(pasted)


def test_a_paste_beside_others_changes_no_ghost(engine, reference):
    engine.compile(8)
    texts = ["every cup " * 30, "MASTER:\n", "the road is long " * 12]
    generations = [
        engine_requests.ghost(engine, text, session=f"beside {i}", max_chars=20)
        for i, text in enumerate(texts)
    ]
    finish_rightly(engine, reference, texts, generations)


def test_the_window_that_comes_next_is_read_ahead(model_dir, reference):
    engine = Engine(model_dir, cache_bytes=16 << 20)
    text = ("The kettle sings, and every cup is warm. " * 60)[:2047]
    assert engine.planner.next_window("s", text[:1030], 0) is None  # far from its end
    write(engine, text, max_chars=1)
    ahead = engine.planner.next_window("s", text, 0)
    while not ahead.done:
        engine.step([ahead])
    assert ahead.text == ""
    assert engine.planner.next_window("s", text, 0) is None  # there is little left to read
    before = engine.stats()["characters_read"]
    (written,) = write(engine, text + "x", max_chars=8, stop="none", from_=1024)
    assert engine.stats()["characters_read"] - before <= MAX_FED
    margin = greedy_difference(reference, text + "x", written)
    assert margin is None or margin < MARGIN
    assert engine.stats()["sessions"] == 1


def test_the_precision_is_told(engine, model_dir):
    assert engine.stats()["precision"] == "f32"
    told = Engine(model_dir, cache_bytes=0, precision="int8").stats()
    assert told["precision"] == "int8"
    assert told["precision_costs_nats"] > 0
