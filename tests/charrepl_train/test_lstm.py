"""The recurrent layer and its own gradients, against autodiff of a textbook cell in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl_train import lstm

SHAPES = [(1, 1, 5), (1, 7, 5), (3, 7, 5), (2, 4, 1)]  # batch, time, hidden
NAMES = ("projected", "h", "c", "w_hh")


def operands(batch: int, time: int, hidden: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((batch, time, hidden))
    shapes = ((time, batch, 4 * hidden), (batch, hidden), (batch, hidden), (hidden, 4 * hidden))
    return {name: rng.normal(size=shape) for name, shape in zip(NAMES, shapes, strict=True)}


def fast(projected, h, c, w_hh, dtype=jnp.float32):
    outputs, (h, c) = lstm.recur(projected, (h, c), w_hh, dtype)
    return outputs, h, c


def textbook(projected, h, c, w_hh):
    outputs = []
    for x in projected:
        i, f, o, g = jnp.split(x + h @ w_hh, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return jnp.stack(outputs), h, c


def weighted(function, **values):
    """A scalar in which every output counts differently, and its gradients."""

    def loss(values):
        outputs = function(**values)
        rng = np.random.default_rng(0)
        return sum(jnp.sum(out * rng.normal(size=out.shape)) for out in outputs)

    return jax.jit(jax.value_and_grad(loss))(values)


@pytest.mark.parametrize(("batch", "time", "hidden"), SHAPES)
def test_outputs_and_gradients_equal_the_textbook_cell(batch: int, time: int, hidden: int) -> None:
    values = operands(batch, time, hidden)
    with jax.enable_x64(True):
        expected, gradients = weighted(
            textbook, **{k: jnp.asarray(v, jnp.float64) for k, v in values.items()}
        )
    got, ours = weighted(fast, **{k: jnp.asarray(v, jnp.float32) for k, v in values.items()})
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for name in NAMES:
        assert ours[name].dtype == jnp.float32
        np.testing.assert_allclose(ours[name], gradients[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_recur_is_step_repeated() -> None:
    values = {k: jnp.asarray(v, jnp.float32) for k, v in operands(3, 7, 5).items()}
    outputs, h, c = jax.jit(fast)(**values)
    step = jax.jit(lambda x, carry: lstm.step(x, carry, values["w_hh"], jnp.float32)[0])
    carry = values["h"], values["c"]
    for t in range(7):
        carry = step(values["projected"][t], carry)
        np.testing.assert_allclose(outputs[t], carry[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose((h, c), carry, rtol=0, atol=1e-6)


def test_bf16_products_stay_near_f32() -> None:
    values = {k: jnp.asarray(v * 0.5, jnp.float32) for k, v in operands(3, 7, 5).items()}
    exact, gradients = weighted(fast, **values)
    rounded, ours = weighted(lambda **v: fast(**v, dtype=jnp.bfloat16), **values)
    assert rounded == pytest.approx(float(exact), rel=0.03, abs=0.03)
    for name in NAMES:
        assert ours[name].dtype == jnp.float32
        scale = float(jnp.abs(gradients[name]).max())
        np.testing.assert_allclose(ours[name], gradients[name], rtol=0, atol=0.03 * scale, err_msg=name)


@pytest.mark.parametrize("vocabulary", [3, lstm._ONE_HOT_LIMIT, lstm._ONE_HOT_LIMIT + 1])
def test_lookup_and_its_gradient_equal_indexing(vocabulary: int) -> None:
    batch, time = 3, 7
    rng = np.random.default_rng(vocabulary)
    table = jnp.asarray(rng.normal(size=(vocabulary, 5)), jnp.float32)
    tokens = jnp.asarray(rng.integers(0, vocabulary, (time, batch)), jnp.int32).at[0, 0].set(vocabulary - 1)
    weights = jnp.asarray(rng.normal(size=(time, batch, 5)), jnp.float32)
    ours = jax.jit(jax.grad(lambda t: jnp.sum(lstm.lookup(t, tokens, jnp.float32) * weights)))(table)
    expected = np.zeros((vocabulary, 5))
    np.add.at(expected, np.asarray(tokens), np.asarray(weights))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(lstm.lookup(table, tokens, jnp.float32), np.asarray(table)[tokens])
