"""The recurrent layer by cuDNN, in JAX's own terms, and when it is chosen.

A GPU is seldom at hand. What JAX hands to cuDNN is then computed by the reference that JAX holds cuDNN
against in its own tests, so that weights, axes and gradients are seen to be in their places everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn
from jaxlib import gpu_rnn

from charrepl_train import hyperparameters
from charrepl_train.devices import jax_setup
from charrepl_train.model import cudnn, lstm, network, products
from tests.charrepl_train.model.test_lstm import ALPHABETS, SHAPES, in_f32, operands


def reference(x, h, c, weights, lengths, *, input_size, hidden_size, num_layers, dropout, bidirectional):
    """What cuDNN is to compute, by JAX's `lstm_ref`."""
    shape = input_size, hidden_size, num_layers, bidirectional
    parts = rnn.unpack_lstm_weights(weights, *shape)
    return rnn.lstm_ref(x, h, c, *parts, lengths, *shape[:3], dropout, bidirectional)


class Forward:
    """Stands where JAX has its operation for cuDNN."""

    def __init__(self, computed: Callable[..., Any]) -> None:
        self.computed = computed
        self.precise: list[bool] = []

    def bind(self, *operands, cudnn_allow_tf32, **shape):
        self.precise.append(not cudnn_allow_tf32)
        return (*self.computed(*operands, **shape), jnp.zeros(1))


class Backward:
    """Stands where JAX has the gradient of it."""

    def __init__(self, computed: Callable[..., Any]) -> None:
        self.computed = computed

    def bind(self, dy, dh, dc, x, h, c, weights, y, reserve, lengths, *, cudnn_allow_tf32, **shape):
        _, back = jax.vjp(lambda *given: self.computed(*given, lengths, **shape), x, h, c, weights)
        return back((dy, dh, dc))


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Forward]:
    """A GPU whose cuDNN computes what a function does."""
    if jax_setup.has_gpu():
        pytest.skip("there is a GPU, whose cuDNN is what is tested")

    def pretend(computed: Callable[..., Any] = reference) -> Forward:
        forward = Forward(computed)
        monkeypatch.setattr(rnn, "rnn_fwd_p", forward)
        monkeypatch.setattr(rnn, "rnn_bwd_p", Backward(computed))
        monkeypatch.setattr(jax_setup, "has_gpu", lambda: True)
        return forward

    return pretend


def by(recur: lstm.Recur, *, tokens: bool = False, dtype: Any = jnp.float32) -> Callable[..., Any]:
    def function(x, h, c, w_ih, w_hh, b):
        inputs = x.argmax(-1) if tokens else x.swapaxes(1, 2)
        return jax.tree.leaves(recur(inputs, (h.T, c.T), (w_ih, w_hh, b), dtype))

    return function


@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_are_those_of_the_scan(on_gpu, shape: tuple[int, ...]) -> None:
    forward = on_gpu()
    values = operands(*shape)
    expected, gradients = in_f32(by(lstm.recur), values)
    with products.in_precision("f32"):
        got, ours = in_f32(by(cudnn.recur), values)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name in values:
        np.testing.assert_allclose(ours[name], gradients[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert forward.precise == [True]


@pytest.mark.parametrize("vocabulary", ALPHABETS)
def test_ids_stand_for_one_hot_columns(on_gpu, vocabulary: int) -> None:
    forward = on_gpu()
    values = operands(3, 7, 5, vocabulary, tokens=True)
    expected, gradients = in_f32(by(lstm.recur, tokens=True), values)
    got, ours = in_f32(by(cudnn.recur, tokens=True), values)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name in values.keys() - {"x"}:
        np.testing.assert_allclose(ours[name], gradients[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert len(forward.precise) == (vocabulary <= lstm._ONE_HOT_LIMIT)  # rows of a long one are looked up


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_where_less_will_do_its_products_may_be_of_tf32(on_gpu, precision: str) -> None:
    forward = on_gpu()
    with products.in_precision(precision):
        in_f32(by(cudnn.recur, dtype=products.dtype(precision)), operands(*SHAPES[0]))
    assert forward.precise == [False]


@pytest.mark.parametrize("output", ["last", "all"])
def test_a_model_by_cudnn_has_the_same_losses_and_gradients(on_gpu, output: str) -> None:
    forward = on_gpu()
    config = hyperparameters.ModelConfig(layers=3, hidden_size=5, output_layers=output)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 11, (2, 3, 7))

    def measured(recur: lstm.Recur) -> Any:
        definition, params = network.build(config, 11, recur=recur)

        def loss(params: Any) -> jax.Array:
            model = network.bind(definition, params)
            drop = network.DropoutMasks(0.2, 0.2, 0.2, jax.random.key(0))
            return model.losses(model.initial_carry(3), tokens, targets, drop=drop)[1].mean()

        return jax.jit(jax.value_and_grad(loss))(params)

    expected = measured(lstm.recur)
    assert not forward.precise
    got = measured(cudnn.recur)
    assert len(forward.precise) == 3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got, expected)


# When it is chosen


def slowed(x: jax.Array) -> jax.Array:
    """`x`, after a while."""
    return x + 1e-30 * jax.lax.fori_loop(0, 3000, lambda _, y: jnp.sin(y), x)


def slow(x, *others, **shape):
    return reference(slowed(x), *others, **shape)


def with_gates_in_another_order(x, h, c, weights, lengths, **shape):
    order = shape["input_size"], shape["hidden_size"], shape["num_layers"], shape["bidirectional"]
    return reference(x, h, c, rnn.swap_lstm_gates(weights, *order), lengths, **shape)


def failing(*given, **shape):
    raise NotImplementedError("no rule for it on this platform")


def fastest() -> lstm.Recur:
    cudnn._gradient.clear_cache()  # traced with what another test had for cuDNN
    return cudnn.fastest(16, 2, 4, "f32")


def test_it_is_chosen_where_it_gives_the_same_in_less_time(on_gpu, monkeypatch) -> None:
    forward = on_gpu()
    scan = lstm.recur
    monkeypatch.setattr(
        lstm, "recur", lambda x, carry, weights, dtype: scan(slowed(x), carry, weights, dtype)
    )
    assert fastest() is cudnn.recur
    assert all(forward.precise)


@pytest.mark.parametrize("computed", [slow, with_gates_in_another_order, failing])
def test_it_is_not_where_it_is_slower_or_wrong_or_fails(on_gpu, computed) -> None:
    forward = on_gpu(computed)
    assert fastest() is lstm.recur
    assert forward.precise


@pytest.mark.parametrize(("space", "tried"), [(1 << 12, True), (1 << 20, False)])
def test_it_is_not_tried_where_its_space_is_much_of_the_memory(
    on_gpu, monkeypatch, space: int, tried: bool
) -> None:
    forward = on_gpu()
    monkeypatch.setattr(jax_setup, "gpu_bytes", lambda: 1 << 24)
    monkeypatch.setattr(
        gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", lambda *sizes: (space, 0), raising=False
    )
    fastest()
    assert bool(forward.precise) == tried


@pytest.mark.parametrize(("before", "kept"), [("cudnn", cudnn.recur), ("scan", lstm.recur)])
def test_a_run_keeps_what_it_began_with(on_gpu, before: str, kept: lstm.Recur) -> None:
    forward = on_gpu()
    assert cudnn.chosen(before, 16, 2, 4, "f32") is kept
    assert not forward.precise  # there is no other trial


def test_a_run_that_comes_to_a_place_without_cudnn_goes_on_and_says_so(caplog) -> None:
    if jax_setup.has_gpu():
        pytest.skip("there is a GPU")
    assert cudnn.chosen("cudnn", 16, 2, 4, "f32") is lstm.recur
    assert "began with cuDNN" in caplog.text


def test_it_is_not_without_a_gpu() -> None:
    if jax_setup.has_gpu():
        pytest.skip("there is a GPU")
    assert fastest() is lstm.recur


@pytest.mark.parametrize("shape", [(4, 16, 64, 64), (128, 64, 512, 65)])
def test_on_a_gpu_it_is_the_scan(shape: tuple[int, ...]) -> None:
    if not jax_setup.has_gpu():
        pytest.skip("this needs a GPU, and its cuDNN")
    values = operands(*shape)
    values = {
        name: value * (shape[2] ** -0.5 if name.startswith("w") else 1) for name, value in values.items()
    }
    with products.in_precision("f32"):
        expected, gradients = in_f32(by(lstm.recur), values)
        got, ours = in_f32(by(cudnn.recur), values)
    assert got == pytest.approx(float(expected), rel=0.01)
    for name in values:
        scale = float(jnp.abs(gradients[name]).max())
        np.testing.assert_allclose(ours[name], gradients[name], rtol=0, atol=0.01 * scale, err_msg=name)
