"""The recurrent layer: one `step`, scanned by training and by serving alike.

Gates are fused in the order input, forget, output, candidate (i, f, o, g), and
sigmoid(x) = tanh(x / 2) / 2 + 1 / 2, so that a single tanh serves all four. The projection of a
layer's inputs does not depend on its carry: `recur` takes it ready-made, for all times at once.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

_ONE_HOT_LIMIT = 512  # characters; above it a scatter is cheaper than the one-hot product

Carry = tuple[jax.Array, jax.Array]  # h, c: each f32 [batch, hidden]
Kept = tuple[Carry, jax.Array, jax.Array, jax.Array, jax.Array]  # first carry, w_hh; h, c, gates over time


def product(a: jax.Array, b: jax.Array, dtype: DTypeLike) -> jax.Array:
    """f32 `a @ b`, the operands rounded to `dtype` and the sums kept in f32."""
    return jnp.dot(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def _weight_gradient(inputs: jax.Array, gradient: jax.Array, dtype: DTypeLike) -> jax.Array:
    """f32 [k, n]: the sum of outer products of [..., k] and [..., n] over all leading axes.

    These are contracted at once: a reshape and a transpose would copy both operands.
    """
    leading = tuple(range(gradient.ndim - 1))
    return jax.lax.dot_general(
        inputs.astype(dtype),
        gradient.astype(dtype),
        ((leading, leading), ((), ())),
        preferred_element_type=jnp.float32,
    )


def _split(activations: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    i, f, o, g = jnp.split(activations, 4, axis=-1)
    return i * 0.5 + 0.5, f * 0.5 + 0.5, o * 0.5 + 0.5, g


def step(projected: jax.Array, carry: Carry, w_hh: jax.Array, dtype: DTypeLike) -> tuple[Carry, jax.Array]:
    """The carry after one character, and the tanh'd gates the gradient needs.

    projected: f32 [batch, 4 x hidden], inputs times `w_ih` plus the bias.
    carry: f32 [batch, hidden] each; w_hh: [hidden, 4 x hidden].
    """
    h, c = carry
    hidden = c.shape[-1]
    half = jnp.concatenate([jnp.full(3 * hidden, 0.5), jnp.ones(hidden)])
    activations = jnp.tanh((projected + product(h, w_hh, dtype)) * half)
    i, f, o, g = _split(activations)
    c = f * c + i * g
    return (o * jnp.tanh(c), c), activations


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def lookup(table: jax.Array, tokens: jax.Array, dtype: DTypeLike) -> jax.Array:
    """`table[tokens]`: what a product with one-hot rows would give. table: [vocabulary, n]."""
    return table[tokens]


def _lookup_forward(
    table: jax.Array, tokens: jax.Array, dtype: DTypeLike
) -> tuple[jax.Array, tuple[jax.Array, int]]:
    return table[tokens], (tokens, table.shape[0])


def _lookup_backward(
    dtype: DTypeLike, kept: tuple[jax.Array, int], gradient: jax.Array
) -> tuple[jax.Array, None]:
    tokens, size = kept
    if size > _ONE_HOT_LIMIT:
        table = jnp.zeros((size, gradient.shape[-1]), gradient.dtype).at[tokens].add(gradient)
    else:
        # XLA scatters one row at a time on a CPU; for an alphabet the one-hot product is far faster.
        table = _weight_gradient(jax.nn.one_hot(tokens, size), gradient, dtype)
    return table, None


lookup.defvjp(_lookup_forward, _lookup_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def recur(projected: jax.Array, carry: Carry, w_hh: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, Carry]:
    """f32 [time, batch, hidden], h at every time, and the last carry.

    projected: f32 [time, batch, 4 x hidden]. The gradient recomputes nothing and takes that of
    `w_hh` in one product after its scan, instead of summing a [hidden, 4 x hidden] matrix a step.
    """
    return _forward(projected, carry, w_hh, dtype)[0]


def _forward(
    projected: jax.Array, carry: Carry, w_hh: jax.Array, dtype: DTypeLike
) -> tuple[tuple[jax.Array, Carry], Kept]:
    w = w_hh.astype(dtype)

    def body(carry: Carry, x: jax.Array) -> tuple[Carry, tuple[jax.Array, jax.Array, jax.Array]]:
        carry, activations = step(x, carry, w, dtype)
        return carry, (*carry, activations)

    last, (h, c, activations) = jax.lax.scan(body, carry, projected)
    return (h, last), (carry, w_hh, h, c, activations)


def _backward(
    dtype: DTypeLike, kept: Kept, gradients: tuple[jax.Array, Carry]
) -> tuple[jax.Array, Carry, jax.Array]:
    (h0, c0), w_hh, h, c, activations = kept
    dh_out, (dh_last, dc_last) = gradients
    w_t = w_hh.astype(dtype).T
    c_before = jnp.concatenate([c0[None], c[:-1]])
    h_before = jnp.concatenate([h0[None], h[:-1]])

    def body(carry: Carry, x: tuple[jax.Array, ...]) -> tuple[Carry, jax.Array]:
        dh, dc = carry
        dh_here, c, c_before, activations = x
        i, f, o, g = _split(activations)
        dh = dh + dh_here
        tanh_c = jnp.tanh(c)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        d = jnp.concatenate(
            [
                dc * g * i * (1 - i),
                dc * c_before * f * (1 - f),
                dh * tanh_c * o * (1 - o),
                dc * i * (1 - g * g),
            ],
            axis=-1,
        )
        return (product(d, w_t, dtype), dc * f), d

    dcarry, dprojected = jax.lax.scan(
        body, (dh_last, dc_last), (dh_out, c, c_before, activations), reverse=True
    )
    dw = _weight_gradient(h_before, dprojected, dtype)
    return dprojected, dcarry, dw.astype(w_hh.dtype)


recur.defvjp(_forward, _backward)
