"""When a run reports and evaluates, and how many steps fit into its minutes."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.run.evaluation_schedule import Schedule
from charrepl_train.text.batching import MOST_STEPS, Batches
from charrepl_train.text.corpus import Corpus
from charrepl_train.text.excerpts import Excerpts
from charrepl_train.text.split import Split
from charrepl_train.text.vocabulary import Vocabulary

counts = st.integers(1, 5_000)


def planned(*, dev: int = 1_000, held_out: int = 5_000, **settings: float) -> Schedule:
    config = TrainingConfig(batch_size=8, sequence_length=32, **settings)
    train, chosen_by, measured = (np.zeros(n, np.uint8) for n in (20_000, dev, held_out))
    apart = (Excerpts.whole(part) for part in (chosen_by, measured))
    corpus = Corpus(Vocabulary("a"), Split((), (), ()), train, *apart)
    return Schedule(config, corpus, Batches(train, config))


@given(total=counts, evaluations=st.integers(0, 30), dev=st.integers(0, 20_000))
def test_all_that_is_due_is_met_and_the_last_step_always_is(total: int, evaluations: int, dev: int) -> None:
    plan = planned(evaluations=evaluations, dev=dev)
    step, met = 0, []
    while step < total:
        steps = plan.until_due(step, total)
        assert 1 <= steps <= MOST_STEPS
        step += steps
        if plan.due(step, total):
            met.append(step)
    assert met == [n for n in range(1, total + 1) if plan.due(n, total)]
    assert met[-1] == total
    assert plan.evaluates(total, total)


@given(total=counts, evaluations=st.integers(1, 30), dev=st.integers(0, 20_000))
def test_evaluations_are_as_many_as_asked_for_or_take_a_tenth_of_the_time(
    total: int, evaluations: int, dev: int
) -> None:
    plan = planned(evaluations=evaluations, dev=dev, held_out=0)
    steps = [n for n in range(1, total + 1) if plan.evaluates(n, total)]
    apart = {after - before for before, after in itertools.pairwise([0, *steps[:-1]])}
    assert len(apart) <= 1
    assert len(steps) <= 2 * evaluations
    assert len(steps) >= min(evaluations, total) or plan.left_s(0, total, 1.0) >= 1.05 * total
    assert len(steps) <= 2 or plan.left_s(0, total, 1.0) <= 1.25 * total


@given(
    seconds=st.floats(0, 10_000),
    step=counts,
    step_s=st.floats(0.01, 10),
    dev=st.integers(0, 20_000),
    held_out=st.integers(0, 50_000),
)
def test_a_run_of_so_many_minutes_has_as_many_steps_as_fit_and_one_at_least(
    seconds: float, step: int, step_s: float, dev: int, held_out: int
) -> None:
    plan = planned(dev=dev, held_out=held_out)
    total = plan.total_within(seconds, step, step_s)
    assert total > step
    assert total == step + 1 or plan.left_s(step, total, step_s) <= seconds
    assert plan.left_s(step, total + 1, step_s) > seconds


def test_where_nothing_is_evaluated_for_its_own_sake_every_epoch_is_told_of() -> None:
    plan = planned(evaluations=0)
    config = TrainingConfig(batch_size=8, sequence_length=32)
    epoch = Batches(np.zeros(20_000, np.uint8), config).steps_per_epoch
    assert [n for n in range(1, 3 * epoch + 1) if plan.due(n, 3 * epoch)] == [epoch, 2 * epoch, 3 * epoch]
    assert math.isclose(plan.left_s(epoch, 3 * epoch, 0.5), plan.left_s(0, 2 * epoch, 0.5))


def test_minutes_count_from_when_the_command_was_given(make_trainer, tmp_path, corpus) -> None:
    started = time.monotonic()
    steps = {}
    for before_s in (0, 3600):
        trainer = make_trainer(tmp_path / str(before_s), corpus.read_text(), sample_characters=0)
        trainer.run.total_steps, trainer.run.minutes = 0, 1.0
        next(trainer.train(started=started - before_s))
        steps[before_s] = trainer.run.total_steps
    assert steps[0] > steps[3600] == 1


def test_an_evaluation_is_announced_before_it_begins_and_nothing_else_is(
    make_trainer, tmp_path, corpus
) -> None:
    trainer, heard = make_trainer(tmp_path / "model", corpus.read_text(), sample_characters=0), []
    for metrics in trainer.train(tick=lambda news: heard.append((news.step, news.measures))):
        assert heard[-1] == (metrics.step, True)
        assert not any(measures for _, measures in heard[:-1])
        heard.clear()
    assert heard == []
