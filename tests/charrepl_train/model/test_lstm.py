"""The recurrent layer and its own gradients, against autodiff of a textbook cell in float64."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl_train.model import lstm

SHAPES = [(1, 1, 5, 3), (1, 7, 5, 5), (3, 7, 5, 2), (2, 4, 1, 1), (5, 3, 8, 13)]  # batch, time, H, inputs
ALPHABETS = [3, lstm._ONE_HOT_LIMIT, lstm._ONE_HOT_LIMIT + 1]


def operands(batch: int, time: int, hidden: int, size: int, *, tokens: bool = False) -> dict[str, np.ndarray]:
    """Numbers for `textbook`, which has the batch first."""
    rng = np.random.default_rng((batch, time, hidden, size))
    shapes = {
        "x": (time, batch, size),
        "h": (batch, hidden),
        "c": (batch, hidden),
        "w_ih": (size, 4 * hidden),
        "w_hh": (hidden, 4 * hidden),
        "b": (4 * hidden,),
    }
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    if tokens:
        values["x"] = np.eye(size)[rng.integers(0, size, (time, batch))]
        values["x"][0, 0] = np.eye(size)[-1]
    return values


def fast(x, h, c, w_ih, w_hh, b, *, tokens=False, dtype=jnp.float32):
    inputs = x.argmax(-1) if tokens else x.swapaxes(1, 2)
    outputs, (h, c) = lstm.recur(inputs, (h.T, c.T), (w_ih, w_hh, b), dtype)
    return outputs.swapaxes(1, 2), h.T, c.T


def textbook(x, h, c, w_ih, w_hh, b):
    def step(carry, now):
        h, c = carry
        i, f, o, g = jnp.split(now @ w_ih + h @ w_hh + b, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    (h, c), outputs = jax.lax.scan(step, (h, c), x)
    return outputs, h, c


def weighted(function, values):
    """A scalar in which every output counts differently, and its gradients."""

    def loss(values):
        outputs = function(**values)
        rng = np.random.default_rng(0)
        return sum(jnp.sum(out * rng.normal(size=out.shape)) for out in outputs)

    return jax.jit(jax.value_and_grad(loss))(values)


def in_f64(function, values):
    with jax.enable_x64(True):
        return weighted(function, {k: jnp.asarray(v, jnp.float64) for k, v in values.items()})


def in_f32(function, values):
    return weighted(function, {k: jnp.asarray(v, jnp.float32) for k, v in values.items()})


@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_equal_the_textbook_cell(shape: tuple[int, ...]) -> None:
    values = operands(*shape)
    expected, gradients = in_f64(textbook, values)
    got, ours = in_f32(fast, values)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name in values:
        assert ours[name].dtype == jnp.float32
        np.testing.assert_allclose(ours[name], gradients[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("vocabulary", ALPHABETS)
def test_ids_stand_for_one_hot_columns(vocabulary: int) -> None:
    values = operands(3, 7, 5, vocabulary, tokens=True)
    expected, gradients = in_f64(textbook, values)
    got, ours = in_f32(functools.partial(fast, tokens=True), values)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name in values.keys() - {"x"}:
        np.testing.assert_allclose(ours[name], gradients[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_recur_is_step_repeated() -> None:
    values = {k: jnp.asarray(v, jnp.float32) for k, v in operands(3, 7, 5, 4).items()}
    outputs, h, c = jax.jit(fast)(**values)
    projected = values["x"] @ values["w_ih"] + values["b"]
    step = jax.jit(lambda x, carry: lstm.step(x, carry, values["w_hh"], jnp.float32))
    carry = values["h"], values["c"]
    for t in range(7):
        carry = step(projected[t], carry)
        np.testing.assert_allclose(outputs[t], carry[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose((h, c), carry, rtol=0, atol=1e-6)


@pytest.mark.parametrize("vocabulary", [None, *ALPHABETS])
def test_bf16_products_stay_near_f32(vocabulary: int | None) -> None:
    tokens = vocabulary is not None
    values = operands(3, 7, 5, vocabulary or 4, tokens=tokens)
    values = {k: v if k == "x" and tokens else v * 0.5 for k, v in values.items()}
    exact, gradients = in_f32(functools.partial(fast, tokens=tokens), values)
    rounded, ours = in_f32(functools.partial(fast, tokens=tokens, dtype=jnp.bfloat16), values)
    assert rounded == pytest.approx(float(exact), rel=0.03, abs=0.03)
    for name in values.keys() - ({"x"} if tokens else set()):
        assert ours[name].dtype == jnp.float32
        scale = float(jnp.abs(gradients[name]).max())
        np.testing.assert_allclose(ours[name], gradients[name], rtol=0, atol=0.03 * scale, err_msg=name)


def test_in_bf16_a_gradient_comes_back_through_a_text_that_is_hardly_forgotten() -> None:
    # With f itself in eight bits, gradients are up to twice as far off after 64 characters.
    values = {k: v * 0.5 for k, v in operands(3, 64, 8, 4).items()}
    values["b"][8:16] = 6.6  # so that f is 0.999
    _, gradients = in_f32(fast, values)
    _, ours = in_f32(functools.partial(fast, dtype=jnp.bfloat16), values)
    for name in values:
        scale = float(jnp.abs(gradients[name]).max())
        np.testing.assert_allclose(ours[name], gradients[name], rtol=0, atol=0.03 * scale, err_msg=name)


def test_dense_and_its_gradients_equal_a_plain_product() -> None:
    rng = np.random.default_rng(0)
    values = {"h": rng.normal(size=(7, 5, 3)), "w": rng.normal(size=(5, 4))}
    expected, gradients = in_f64(lambda h, w: [jnp.einsum("thb,hv->vtb", h, w).reshape(4, -1)], values)
    got, ours = in_f32(lambda h, w: [lstm.dense(h, w, jnp.float32)], values)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name in values:
        np.testing.assert_allclose(ours[name], gradients[name], rtol=1e-5, atol=1e-5, err_msg=name)
