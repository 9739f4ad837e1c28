"""Splitting and batching the ids of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train.hyperparameters import TrainingConfig, preset
from charrepl_train.text import batching
from charrepl_train.text.vocabulary import Vocabulary

TINY = Path(__file__).parents[4] / "shared" / "data" / "tinyshakespeare.txt"


def settings(**changed: Any) -> TrainingConfig:
    return msgspec.structs.replace(TrainingConfig(held_out=0, dev=0), **changed)


@pytest.mark.parametrize("characters", [1, 64])
def test_a_text_shorter_than_a_sequence_names_the_setting(characters: int) -> None:
    with pytest.raises(CharreplError, match=r"sequence_length = 64 needs 65.* smaller sequence_length"):
        batching.split(characters, settings())


def test_the_held_out_part_of_tinyshakespeare_is_its_last_111540_characters() -> None:
    if not TINY.exists():
        pytest.skip(f"{TINY} is not here")
    text = TINY.read_text()
    train, dev, held_out = (text[part] for part in batching.split(len(text), TrainingConfig()))
    assert held_out == text[-111_540:]
    assert dev == text[-111_540 - 50_192 : -111_540]
    assert train + dev + held_out == text


@given(
    st.integers(200, 5000), st.sampled_from([0, 0.01, 0.05, 0.1, 0.5]), st.sampled_from([0, 0.001, 0.05, 0.5])
)
def test_the_parts_follow_each_other(length: int, held_out: float, dev: float) -> None:
    places = range(length)
    parts = batching.split(length, settings(held_out=held_out, dev=dev, sequence_length=16))
    assert [place for part in parts for place in places[part]] == list(places)
    assert len(places[parts.held_out]) == length - int(length * (1 - held_out))
    wanted = int((length - len(places[parts.held_out])) * dev)
    assert len(places[parts.dev]) == (wanted if wanted >= 2 else 0)


def test_long_parts_are_measured_in_part() -> None:
    places = range(12_000_000)
    train, dev, held_out = (places[part] for part in batching.split(len(places), TrainingConfig()))
    assert (len(dev), len(held_out)) == (65_536, 1_000_000)
    assert len(train) == 10_800_000 - 65_536
    assert (dev[0], held_out[0]) == (10_800_000 - 65_536, 10_800_000)


corpora = st.integers(2, 400).flatmap(
    lambda n: st.tuples(st.just(np.arange(n, dtype=np.int32)), st.integers(1, n - 1), st.integers(1, 40))
)


@given(corpora, st.integers(0, 3))
def test_streams_read_on_where_the_step_before_stopped(case: tuple[np.ndarray, int, int], seed: int) -> None:
    ids, time, batch = case
    batches = batching.Batches(ids, settings(sequence_length=time, batch_size=batch, seed=seed))
    assert batches.stateful
    before = np.empty((0, 0))
    for step in range(2 * batches.steps_per_epoch):
        window = batches(step)
        assert window.shape == (batches.batch_size, time + 1)
        # The next character, the ids being places in a text that is read as a ring.
        np.testing.assert_array_equal(window[:, 1:], (window[:, :-1] + 1) % len(ids))
        if step % batches.steps_per_epoch == 0:
            assert batches.resets(step).all()
        else:
            np.testing.assert_array_equal(window[:, 0], before[:, -1])
        before = window


def test_each_epoch_starts_elsewhere_unless_told_not_to() -> None:
    ids = np.arange(1000, dtype=np.int32)
    for random_offsets in (True, False):
        batches = batching.Batches(ids, settings(random_offsets=random_offsets))
        starts = {int(batches(epoch * batches.steps_per_epoch)[0, 0]) for epoch in range(10)}
        assert (len(starts) > 5) if random_offsets else (starts == {0})


def test_the_steps_of_a_call_are_the_batches_one_after_the_other() -> None:
    batches = batching.Batches(np.arange(1000, dtype=np.int32), settings(sequence_length=60, batch_size=4))
    steps = batches.many(3, 5)
    assert len(steps.windows) == len(steps.resets) == batching.MOST_STEPS
    assert steps.number == 5
    for n in range(5):
        np.testing.assert_array_equal(steps.windows[n], batches(3 + n))
        np.testing.assert_array_equal(steps.resets[n], batches.resets(3 + n))


def test_a_carry_is_zeroed_once_every_so_many_characters() -> None:
    ids = np.arange(200_000) % 251
    batches = batching.Batches(ids, settings(sequence_length=50, batch_size=20, reset_every=500.0))
    zeroed = np.array([batches.resets(step) for step in range(1, batches.steps_per_epoch)])
    assert zeroed.mean() == pytest.approx(0.1, abs=0.02)
    assert (zeroed.sum(axis=0) > 5).all()  # every stream's, each at its own times
    never = batching.Batches(ids, settings(sequence_length=50, batch_size=20, reset_every=0.0))
    assert not any(never.resets(step).any() for step in range(1, never.steps_per_epoch))


@given(corpora, st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_batch_is_a_pure_function_of_its_step_and_the_seed(case, seed: int, random) -> None:
    ids, time, batch = case
    config = settings(sequence_length=time, batch_size=batch, seed=seed)
    straight = batching.Batches(ids, config)
    expected = [straight(step) for step in range(6)]
    resumed = batching.Batches(ids, config)
    for step in random.sample(range(6), 6):
        np.testing.assert_array_equal(resumed(step), expected[step])


def test_narrow_ids_become_int32_a_batch_at_a_time() -> None:
    ids = (np.arange(1000) % 256).astype(np.uint8)
    window = batching.Batches(ids, settings(sequence_length=60, batch_size=4, random_offsets=False))(0)
    assert window.dtype == np.int32
    np.testing.assert_array_equal(window[:, 1:] % 256, (window[:, :-1] + 1) % 256)


def test_streams_cover_the_text_over_the_epochs() -> None:
    ids = np.arange(1000, dtype=np.int32)
    batches = batching.Batches(ids, settings(sequence_length=60, batch_size=4))
    seen = set()
    for step in range(40 * batches.steps_per_epoch):
        seen.update(batches(step)[:, 1:].ravel().tolist())
    assert len(seen) == 1000  # an epoch alone: 960


def test_the_seed_preset_cuts_the_article_s_chunks() -> None:
    text = "".join(chr(97 + n % 26) for n in range(50 * 70 + 49))
    training = preset("seed").training
    assert [text[part] for part in batching.split(len(text), training)] == [text, "", ""]
    batches = batching.Batches(Vocabulary(text).encode(text), training)
    assert (batches.batch_size, batches.steps_per_epoch) == (32, 2)
    vocabulary = Vocabulary(text)
    for step in range(5):
        window = batches(step)
        chunks = [text[50 * n : 50 * n + 50] for n in range(step % 2 * 32, step % 2 * 32 + 32)]
        assert [vocabulary.decode(row) for row in window] == chunks
        assert batches.resets(step).all()  # the carry is zeroed at every chunk


@given(st.integers(2, 300), st.integers(1, 40))
def test_equal_streams_give_every_target_weight_one_once(length: int, streams: int) -> None:
    ids = np.arange(length, dtype=np.int32)
    inputs, targets, weights = batching.in_streams(ids, streams)
    assert inputs.shape == targets.shape == weights.shape
    assert len(inputs) == streams
    np.testing.assert_array_equal(targets, inputs + 1)
    assert targets[weights == 1].tolist() == list(range(1, length))
    assert set(np.unique(weights)) <= {0, 1}
    real = weights[:, 1:] == 1  # within a stream the text goes on
    np.testing.assert_array_equal(inputs[:, 1:][real], targets[:, :-1][real])
