"""The whole model against a float64 numpy LSTM, and its gradient against autodiff."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl_train.hyperparameters import ModelConfig
from charrepl_train.model import network
from charrepl_train.model import parameters as params_module
from charrepl_train.model.network import DropoutMasks
from tests.charrepl_train.model.test_lstm import textbook

VOCABULARY, HIDDEN, FORGET_BIAS = 11, 5, 0.5
SHAPES = [(1, 1, 7), (3, 3, 5), (3, 2, 1)]  # layers, batch, time


def built(layers: int, dtype=jnp.float32, seed: int = 0, output: str = "last"):
    config = ModelConfig(layers=layers, hidden_size=HIDDEN, output_layers=output)
    return network.build(config, VOCABULARY, seed=seed, forget_bias=FORGET_BIAS, dtype=dtype)


@functools.partial(jax.jit, static_argnames=("definition", "parts"))
def read(definition, params, tokens, parts=None, key=None):
    """The carry and the logits after `tokens`, from a zero carry; parts: the masks of dropout."""
    model = network.bind(definition, params)
    drop = None if parts is None else DropoutMasks(*parts, key)
    return model(model.initial_carry(len(tokens)), tokens, drop=drop)


def tokens_of(batch: int, time: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng((batch, time)).integers(0, VOCABULARY, (batch, time)), jnp.int32)


@pytest.mark.parametrize("output", ["last", "all"])
@pytest.mark.parametrize(("layers", "batch", "time"), SHAPES)
def test_logits_equal_a_float64_lstm(layers: int, batch: int, time: int, output: str, reference) -> None:
    definition, params = built(layers, output=output)
    tokens = tokens_of(batch, time)
    carry, logits = read(definition, params, tokens)
    assert carry.shape == (batch, layers, 2, HIDDEN)
    assert logits.shape == (batch, time, VOCABULARY)
    expected_carry, expected = reference(params, tokens)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(carry, expected_carry, rtol=0, atol=1e-5)


@pytest.mark.parametrize("output", ["last", "all"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_reading_at_once_equals_reading_step_by_step(dtype, output: str) -> None:
    definition, params = built(3, dtype, output=output)
    tokens = tokens_of(3, 5)
    after, logits = read(definition, params, tokens)

    @jax.jit
    def step(carry, token):
        model = network.bind(definition, params)
        carry = model.step(carry, token)
        return carry, model.logits(carry)

    # Sums in another order may round a state to the next bf16.
    atol = 1e-5 if dtype == jnp.float32 else 1e-3
    carry = jnp.zeros((3, 3, 2, HIDDEN))
    for t in range(5):
        carry, one = step(carry, tokens[:, t])
        np.testing.assert_allclose(one, logits[:, t], rtol=0, atol=atol)
    np.testing.assert_allclose(carry, after, rtol=0, atol=atol)


def textbook_logits(params, tokens):
    x, read = jnp.eye(VOCABULARY, dtype=jnp.float64)[tokens.T], []
    zero = jnp.zeros((len(tokens), HIDDEN), jnp.float64)
    for n in range(len(params["layers"])):
        x = textbook(x, zero, zero, **params["layers"][str(n)])[0]
        read.append(x)
    x = jnp.concatenate(read, axis=-1)[..., -len(params["output"]["w"]) :].swapaxes(0, 1)
    return x @ params["output"]["w"] + params["output"]["b"]


@pytest.mark.parametrize("output", ["last", "all"])
@pytest.mark.parametrize(("layers", "batch", "time"), SHAPES)
def test_gradient_equals_autodiff_in_float64(layers: int, batch: int, time: int, output: str) -> None:
    definition, params = built(layers, output=output)
    inputs, targets = tokens_of(batch, time), tokens_of(batch, time + 1)[:, 1:]

    def nats(logits: jax.Array) -> jax.Array:
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1).sum()

    def loss(params):
        return nats(read(definition, params, inputs)[1])

    ours = jax.jit(jax.grad(loss))(params)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda w: jnp.asarray(np.asarray(w, np.float64)), params)
        expected = jax.jit(jax.grad(lambda p: nats(textbook_logits(p, inputs))))(exact)
    jax.tree.map_with_path(
        lambda path, a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5, err_msg=str(path)),
        ours,
        expected,
    )


def test_bf16_logits_stay_near_f32() -> None:
    definition, params = built(3)
    rounded, _ = built(3, jnp.bfloat16)
    tokens = tokens_of(3, 5)
    logits = [read(d, params, tokens)[1] for d in (definition, rounded)]
    assert logits[1].dtype == jnp.float32
    np.testing.assert_allclose(logits[1], logits[0], rtol=0, atol=0.02)
    assert float(jnp.abs(logits[1] - logits[0]).max()) > 0


@pytest.mark.parametrize(("output", "inputs_read"), [("last", HIDDEN), ("all", 3 * HIDDEN)])
def test_weights_have_the_documented_shapes_and_start(output: str, inputs_read: int) -> None:
    _, params = built(3, output=output)
    shapes = jax.tree.map(lambda w: w.shape, params)
    inputs = {"0": VOCABULARY, "1": HIDDEN, "2": HIDDEN}
    assert shapes == {
        "layers": {
            name: {"w_ih": (size, 4 * HIDDEN), "w_hh": (HIDDEN, 4 * HIDDEN), "b": (4 * HIDDEN,)}
            for name, size in inputs.items()
        },
        "output": {"w": (inputs_read, VOCABULARY), "b": (VOCABULARY,)},
    }
    bias = np.asarray(params["layers"]["0"]["b"]).reshape(4, HIDDEN)
    np.testing.assert_array_equal(bias, np.array([0, FORGET_BIAS, 0, 0])[:, None] * np.ones(HIDDEN))
    for gate in np.split(np.asarray(params["layers"]["1"]["w_hh"]), 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(HIDDEN), atol=1e-5)
    config = ModelConfig(layers=3, hidden_size=HIDDEN, output_layers=output)
    _, abstract = network.abstract(config, VOCABULARY)
    assert jax.tree.map(lambda w: w.shape, abstract) == shapes
    empty = params_module.empty(config, VOCABULARY)
    assert jax.tree.map(lambda w: w.shape, empty) == shapes


def test_the_seed_alone_decides_the_weights() -> None:
    first, again, other = (built(3, seed=seed)[1] for seed in (1, 1, 7))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["output"]["w"], other["output"]["w"])


def test_dropout_zeroes_the_same_outputs_at_all_times() -> None:
    definition, params = built(1)
    tokens, key = tokens_of(1, 7), jax.random.key(0)
    carry, logits = read(definition, params, tokens)
    np.testing.assert_array_equal(read(definition, params, tokens, (0, 0, 0), key)[1], logits)
    np.testing.assert_array_equal(read(definition, params, tokens, (0, 0.5, 0), key)[0], carry)
    # With the identity as output layer the logits are the thinned outputs themselves.
    params = params | {"output": {"w": jnp.eye(HIDDEN), "b": jnp.zeros(HIDDEN)}}
    whole = read(definition, params, tokens)[1]
    thinned = read(definition, params, tokens, (0, 0.5, 0), key)[1]
    kept = np.asarray(thinned[:, 0] != 0)
    assert kept.any()
    assert not kept.all()
    np.testing.assert_allclose(thinned, whole * kept[:, None] * 2, rtol=1e-6)


def test_dropout_between_layers_leaves_the_first_and_the_last_whole() -> None:
    definition, params = built(3)
    tokens, key = tokens_of(2, 7), jax.random.key(0)
    carry, _ = read(definition, params, tokens)
    changed, _ = read(definition, params, tokens, (0.5, 0, 0), key)
    np.testing.assert_array_equal(changed[:, 0], carry[:, 0])
    assert not np.array_equal(changed[:, 1], carry[:, 1])
    alone, _ = built(1)
    first = {"layers": {"0": params["layers"]["0"]}, "output": params["output"]}
    np.testing.assert_array_equal(
        read(alone, first, tokens, (0.5, 0, 0), key)[1], read(alone, first, tokens)[1]
    )


def test_dropout_before_the_output_thins_each_layer_s_and_no_layer_s_input() -> None:
    definition, params = built(2, output="all")
    tokens, key = tokens_of(1, 7), jax.random.key(0)
    params = params | {"output": {"w": jnp.eye(2 * HIDDEN), "b": jnp.zeros(2 * HIDDEN)}}
    carry, whole = read(definition, params, tokens)
    after, thinned = read(definition, params, tokens, (0, 0.5, 0), key)
    np.testing.assert_array_equal(after, carry)
    kept = np.asarray(thinned[:, 0] != 0)
    assert 0 < kept[:, :HIDDEN].sum() < HIDDEN
    assert not np.array_equal(kept[:, :HIDDEN], kept[:, HIDDEN:])
    np.testing.assert_allclose(thinned, whole * kept[:, None] * 2, rtol=1e-6)
    # What is left out on the way up is not left out before the output.
    np.testing.assert_array_equal(
        read(definition, params, tokens, (0.5, 0, 0), key)[1][..., :HIDDEN], whole[..., :HIDDEN]
    )


def test_weight_drop_leaves_out_weights_from_state_to_state_only() -> None:
    definition, params = built(1)
    key = jax.random.key(0)
    one, several = tokens_of(2, 1), tokens_of(2, 7)
    # After one character from a zero state nothing has gone through them.
    np.testing.assert_array_equal(
        read(definition, params, one, (0, 0, 0.5), key)[1], read(definition, params, one)[1]
    )
    mask = np.asarray(DropoutMasks(0, 0, 0.5, key).mask(0.5, (HIDDEN, 4 * HIDDEN), 0, 1))
    assert set(np.unique(mask)) == {0, 2}
    layer = params["layers"]["0"]
    thinned = params | {"layers": {"0": layer | {"w_hh": layer["w_hh"] * mask}}}
    np.testing.assert_allclose(
        read(definition, params, several, (0, 0, 0.5), key)[1],
        read(definition, thinned, several)[1],
        rtol=1e-6,
    )


def test_losses_are_those_of_the_logits() -> None:
    definition, params = built(2)
    tokens, targets = tokens_of(3, 7), tokens_of(3, 7)[:, ::-1]

    @jax.jit
    def both(params):
        model = network.bind(definition, params)
        carry = model.initial_carry(3)
        return model.losses(carry, tokens, targets)[1:], model(carry, tokens)[1]

    (nats, right), logits = both(params)
    expected = -np.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(nats, expected.T, rtol=1e-5)
    np.testing.assert_array_equal(right, (logits.argmax(-1) == targets).T)
