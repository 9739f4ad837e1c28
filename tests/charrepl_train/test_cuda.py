"""Every program that trains, lowered for CUDA: it can be, and calls nothing but cuDNN where that is taken."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn
from jax.interpreters import mlir
from jaxlib import gpu_rnn

from charrepl_train import hyperparameters
from charrepl_train.devices import jax_setup
from charrepl_train.model import cudnn, lstm, network, products
from charrepl_train.optimisation import evaluate, training_step
from charrepl_train.run import samples
from charrepl_train.text import batching
from tests import cuda

KINDS, BATCH, TIME = 11, 3, 7


def update(recur: lstm.Recur, precision: str, **training: object) -> str:
    """The text of a training step with everything in it."""
    config = hyperparameters.replace(
        hyperparameters.Config(),
        model={"layers": 2, "hidden_size": 8, "output_layers": "all"},
        training={
            "batch_size": BATCH,
            "sequence_length": TIME,
            "average": 0.9,
            "precision": precision,
            **training,
        },
    )
    batches = batching.Batches(np.arange(500) % KINDS, config.training)
    definition, params = network.abstract(config.model, KINDS, dtype=products.dtype(precision), recur=recur)
    state = jax.eval_shape(lambda params: training_step.start(config, params, BATCH), params)
    static = definition, config.training, batches.steps_per_epoch
    return cuda.lowered(training_step.update, *static, state, batches.many(0, 2), jnp.int32(100))


DROPPED = {"dropout": 0.2, "weight_drop": 0.2, "output_dropout": 0.2}
MUON = {"optimiser": "muon", "muon_preconditioning": "aol"}


@pytest.mark.parametrize(
    ("precision", "training", "asked"),
    [("f32", DROPPED, {"HIGHEST"}), ("tf32", MUON, {"HIGH"}), ("bf16", MUON, {"DEFAULT"})],
)
def test_steps_are_taken_on_the_device_as_exactly_as_is_wanted(
    precision: str, training: dict[str, object], asked: set[str]
) -> None:
    text = update(lstm.recur, precision, **training)
    cuda.check(text)
    assert cuda.precisions(text) == asked


def test_the_preset_that_repeats_a_recipe_asks_for_exact_products() -> None:
    assert hyperparameters.preset("seed").training.precision == "f32"


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for the part of JAX's plugin that knows how much room cuDNN needs."""
    if jax_setup.has_gpu():
        return

    class Plugin:
        @staticmethod
        def build_rnn_descriptor(*sizes: int) -> bytes:
            return b""

    monkeypatch.setattr(
        gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", lambda *sizes: (8, 8), raising=False
    )
    for primitive, lowering in (
        (rnn.rnn_fwd_p, gpu_rnn._rnn_fwd_lowering),
        (rnn.rnn_bwd_p, gpu_rnn._rnn_bwd_lowering),
    ):
        mlir.register_lowering(primitive, functools.partial(lowering, Plugin, "cu"), platform="cuda")


def test_steps_by_cudnn_call_that_and_nothing_else(sized) -> None:
    cuda.check(update(cudnn.recur, "f32"), cuda.CUDNN)


@pytest.mark.parametrize("measure", [evaluate._nats, evaluate._slopes])
def test_losses_are_measured_on_the_device(measure) -> None:
    definition, params = network.abstract(hyperparameters.ModelConfig(layers=2, hidden_size=8), KINDS)
    carry, tokens = jnp.zeros((BATCH, 2, 2, 8)), np.zeros((BATCH, TIME), np.int32)
    given = params, carry, tokens, tokens, np.ones((BATCH, TIME), np.float32)
    text = cuda.lowered(evaluate._piece, definition, measure, *given, share=None)
    cuda.check(text)
    assert cuda.precisions(text) == {"HIGHEST"}


def test_samples_are_written_on_the_device() -> None:
    definition, params = network.abstract(hyperparameters.ModelConfig(layers=2, hidden_size=8), KINDS)
    given = np.zeros(2, np.int32), jnp.float32(0.8), jax.random.key(0), 5
    cuda.check(cuda.lowered(samples._generate, definition, params, *given))
