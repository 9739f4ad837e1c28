"""Training steps: the same however many a call takes; averages, rates, what is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl_train import hyperparameters
from charrepl_train.model import network
from charrepl_train.optimisation import training_step
from charrepl_train.text import batching

VOCABULARY = 11
IDS = np.random.default_rng(0).integers(0, VOCABULARY, 500)


@pytest.fixture
def steps() -> Callable[..., tuple[training_step.State, list[float], training_step.StepResult]]:
    """Takes training steps in calls of some sizes: the state, all losses, and the last measures."""

    def run(calls: Sequence[int], **training):
        config = hyperparameters.replace(
            hyperparameters.Config(),
            model={"layers": 2, "hidden_size": 5},
            training={"batch_size": 3, "sequence_length": 7, "learning_rate": 0.05, **training},
        )
        batches = batching.Batches(IDS, config.training)
        definition, params = network.build(config.model, VOCABULARY)
        state, losses = training_step.start(config, params, batches.batch_size), []
        for number in calls:
            step = int(state["step"])
            state, measured = training_step.update(
                definition,
                config.training,
                batches.steps_per_epoch,
                state,
                batches.many(step, number),
                jnp.int32(100),
            )
            losses += measured.losses[:number].tolist()
        return state, losses, measured

    return run


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_steps_are_the_same_to_the_bit_however_many_a_call_takes(steps, optimiser) -> None:
    dropped = dict.fromkeys(("dropout", "output_dropout", "weight_drop"), 0.3)
    everything = {**dropped, "average": 0.9, "optimiser": optimiser}
    state, losses, measured = steps([30], **everything)
    for calls in ([1] * 30, [7, 16, 7]):
        again, same, last = steps(calls, **everything)
        jax.tree.map(np.testing.assert_array_equal, again, state)
        assert same == losses
        assert (last.accuracy, last.learning_rate) == (measured.accuracy, measured.learning_rate)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_losses_fall_on_a_text_that_can_be_learnt(steps, monkeypatch, optimiser) -> None:
    monkeypatch.setitem(globals(), "IDS", np.arange(500) % VOCABULARY)
    _, losses, measured = steps([60], optimiser=optimiser)
    assert losses[0] == pytest.approx(np.log(VOCABULARY), abs=0.2)
    assert losses[-1] < 0.5
    assert measured.accuracy > 0.9


def test_the_average_forgets_the_first_weights_soon_and_is_what_is_kept(steps) -> None:
    average = network.build(hyperparameters.ModelConfig(layers=2, hidden_size=5), VOCABULARY)[1]
    for number in (1, 2, 3):
        state, _, _ = steps([number], average=0.9)
        decay = number / (number + 9)
        average = jax.tree.map(lambda a, p, d=decay: d * a + (1 - d) * p, average, state["params"])
        kept = training_step.evaluated(state)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), kept, average)
    without, _, _ = steps([3])
    jax.tree.map(np.testing.assert_array_equal, training_step.evaluated(without), without["params"])


@pytest.mark.parametrize(
    ("schedule", "cooldown", "rates"),
    [
        ("cosine", 0.0, {0: 1 / 11, 9: 10 / 11, 10: 1.0, 55: 0.505, 100: 0.01, 150: 0.01}),
        ("constant", 0.0, {0: 1 / 11, 9: 10 / 11, 10: 1.0, 55: 1.0, 100: 1.0}),
        ("constant", 0.2, {0: 1 / 11, 10: 1.0, 80: 1.0, 90: 0.505, 100: 0.01, 150: 0.01}),
        ("steps", 0.0, {0: 1.0, 19: 1.0, 20: 0.5, 40: 0.25}),
    ],
)
def test_the_rate_follows_its_schedule(schedule: str, cooldown: float, rates: dict[int, float]) -> None:
    config = hyperparameters.TrainingConfig(
        learning_rate=2.0,
        schedule=schedule,
        warmup=0.1,
        cooldown=cooldown,
        final_rate=0.01,
        decay=0.5,
        decay_epochs=2.0,
    )
    for step, part in rates.items():
        rate = training_step.learning_rate(jnp.int32(step), jnp.int32(100), 10, config)
        assert rate == pytest.approx(2.0 * part, rel=1e-4)
