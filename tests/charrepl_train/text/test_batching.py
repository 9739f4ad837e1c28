"""Batches of the ids of a text."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl_train.hyperparameters import TrainingConfig, preset
from charrepl_train.text import batching
from charrepl_train.text.split import split
from charrepl_train.text.vocabulary import Vocabulary


def settings(**changed: Any) -> TrainingConfig:
    return msgspec.structs.replace(TrainingConfig(held_out=0, dev=0), **changed)


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
    assert split([len(text)], training) == (((0, len(text)),), (), ())
    batches = batching.Batches(Vocabulary(text).encode(text), training)
    assert (batches.batch_size, batches.steps_per_epoch) == (32, 2)
    vocabulary = Vocabulary(text)
    for step in range(5):
        window = batches(step)
        chunks = [text[50 * n : 50 * n + 50] for n in range(step % 2 * 32, step % 2 * 32 + 32)]
        assert [vocabulary.decode(row) for row in window] == chunks
        assert batches.resets(step).all()  # the carry is zeroed at every chunk
