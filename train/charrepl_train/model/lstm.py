"""The recurrent layer: one `cell`, which serving takes a step at a time and training over a whole text.

Gates are fused in the order input, forget, output, candidate (i, f, o, g), and
sigmoid(x) = tanh(x / 2) / 2 + 1 / 2, so that a single tanh serves all four.

Training lays everything out in columns, [features, batch]. The weights, large and the same at every
character, are then the left operand of each product, which is read where it lies; the right one, which
a CPU's matrix product repacks at every call, is the narrow state. In rows it would be the weights that
are repacked at every character. A step so runs at the rate of one large product over all times, and
taking the inputs' product out of the scan would only add its traffic to memory: one product with the
weights of inputs and state side by side does both (docs/design/training.md#columns).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from charrepl_train.model.bf16_bits import kept, operand, restored

_ONE_HOT_LIMIT = 512  # characters; above it, looking rows up is cheaper than the one-hot product

Carry = tuple[jax.Array, jax.Array]  # h, c: each f32 [batch, hidden], or [hidden, batch] in columns
Weights = tuple[jax.Array, jax.Array, jax.Array]  # w_ih [inputs, 4H], w_hh [H, 4H], b [4H]
Kept = tuple[jax.Array, ...]
Recur = Callable[[jax.Array, Carry, Weights, DTypeLike], tuple[jax.Array, Carry]]  # as `recur`


def product(a: jax.Array, b: jax.Array, dtype: DTypeLike) -> jax.Array:
    """f32 `a @ b`, the operands rounded to `dtype` and the sums kept in f32."""
    return jnp.dot(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def halved(weights: Any) -> Any:
    """The last axis scaled for one tanh over all gates: x / 2 for the sigmoids. Exact in any float."""
    return weights * np.repeat(np.array([0.5, 0.5, 0.5, 1.0], np.float32), weights.shape[-1] // 4)


def gates(summed: jax.Array, axis: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """i, f, o and g, of sums that `halved` weights and biases gave."""
    i, f, o, g = jnp.split(jnp.tanh(summed), 4, axis=axis)
    return i * 0.5 + 0.5, f * 0.5 + 0.5, o * 0.5 + 0.5, g


def step(projected: jax.Array, carry: Carry, w_hh: jax.Array, dtype: DTypeLike) -> Carry:
    """The carry after one character.

    projected: f32 [batch, 4H], inputs times `w_ih` plus the bias; carry: f32 [batch, H] each.
    """
    h, c = carry
    i, f, o, g = gates(halved(projected + product(h, w_hh, dtype)), axis=-1)
    c = f * c + i * g
    return o * jnp.tanh(c), c


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def recur(inputs: jax.Array, carry: Carry, weights: Weights, dtype: DTypeLike) -> tuple[jax.Array, Carry]:
    """f32 [time, H, batch], h at every time, and the last carry; all in columns.

    inputs: int32 [time, batch], ids that stand for one-hot columns, or f32 [time, inputs, batch].
    carry: f32 [H, batch] each. Products are taken in `dtype`; their sums and c stay f32. What the gradient
    needs is kept in `dtype`, too.

    The gradient's scan multiplies what it is given by factors that the forward scan has left, and
    recomputes nothing; that of the weights is one product after it, instead of a matrix a step.
    """
    return _forward(inputs, carry, weights, dtype, keep=False)[0]


def by_row(inputs: jax.Array, w_ih: jax.Array) -> bool:
    """Whether the rows of `w_ih` are looked up."""
    return inputs.ndim == 2 and w_ih.shape[0] > _ONE_HOT_LIMIT


def columns(inputs: jax.Array, w_ih: jax.Array, dtype: DTypeLike) -> jax.Array:
    """`dtype` [..., inputs, batch] of ids, one-hot, or of what is in columns already."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return jax.nn.one_hot(inputs, w_ih.shape[0], dtype=dtype, axis=-2)
    return inputs.astype(dtype)


def _forward(
    inputs: jax.Array, carry: Carry, weights: Weights, dtype: DTypeLike, *, keep: bool
) -> tuple[tuple[jax.Array, Carry], Kept]:
    w_ih, w_hh, b = weights
    lookup = by_row(inputs, w_ih)
    both = w_hh if lookup else jnp.concatenate([w_ih, w_hh])
    left = halved(both).T.astype(dtype)
    table = halved(w_ih) if lookup else None
    bias = halved(b)[:, None]

    def body(before: tuple[Carry, jax.Array | None], now: tuple[jax.Array, jax.Array]) -> Any:
        (h, c_before), rights = before
        x, t = now
        right = kept(h if lookup else jnp.concatenate([columns(x, w_ih, jnp.float32), h]), dtype)
        summed = product(left, operand(right), dtype) + bias
        if table is not None:
            summed = summed + table[x].T
        i, f, o, g = gates(summed, axis=0)
        c = f * c_before + i * g
        tanh_c = jnp.tanh(c)
        h = o * tanh_c
        if rights is None:
            return ((h, c), None), (h,)
        # What each gate's gradient is, but for that of c (i, f and g) or of h (o).
        factors = jnp.concatenate(
            [g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)]
        )
        # 1 - f, not f: over a text, a gradient is multiplied by f again and again, and f is often nearly 1.
        factors, h_to_c, forgotten = (
            kept(values, dtype) for values in (factors, o * (1 - tanh_c * tanh_c), 1 - f)
        )
        return ((h, c), _with(rights, right, t)), (h, factors, h_to_c, forgotten)

    rights = _room(len(both), len(inputs), carry[0], dtype) if keep else None
    (last, rights), (h, *factors) = jax.lax.scan(body, (carry, rights), (inputs, jnp.arange(len(inputs))))
    return (h, last), (inputs, rights, w_ih, w_hh, *factors)


def _recur_forward(
    inputs: jax.Array, carry: Carry, weights: Weights, dtype: DTypeLike
) -> tuple[tuple[jax.Array, Carry], Kept]:
    return _forward(inputs, carry, weights, dtype, keep=True)


def _backward(
    dtype: DTypeLike, left_behind: Kept, gradients: tuple[jax.Array, Carry]
) -> tuple[jax.Array | None, Carry, Weights]:
    inputs, rights, w_ih, w_hh, factors, h_to_c, forgotten = left_behind
    dh_out, carry = gradients
    of_tokens = inputs.ndim == 2
    left = (w_hh if of_tokens else jnp.concatenate([w_ih, w_hh])).astype(dtype)
    size = len(left) - len(w_hh)
    of_output = (jnp.arange(4) == 2)[:, None, None]  # the gate whose gradient is h's, not c's

    def body(before: tuple[Carry, jax.Array], now: tuple[jax.Array, ...]) -> Any:
        (dh, dc), ds = before
        dh_here, factors, h_to_c, forgotten, t = now
        dh = dh + dh_here
        dc = dc + dh * restored(h_to_c)
        # Chosen, not concatenated, which takes XLA longer on a CPU (docs/experiments.md).
        d = jnp.where(of_output, dh, dc) * restored(factors).reshape(4, *dc.shape)
        d = kept(d.reshape(-1, dc.shape[1]), dtype)
        below = product(left, operand(d), dtype)
        return ((below[size:], dc - dc * restored(forgotten)), _with(ds, d, t)), below[:size]

    ds = _room(4 * len(w_hh), len(dh_out), carry[0], dtype)
    given = dh_out, factors, h_to_c, forgotten, jnp.arange(len(dh_out))
    (carry, ds), dinputs = jax.lax.scan(body, (carry, ds), given, reverse=True)
    weights = _outer(rights, ds)
    if by_row(inputs, w_ih):
        dw_ih, dw_hh = jnp.zeros_like(w_ih).at[inputs].add(restored(ds).transpose(1, 2, 0)), weights
    else:
        dw_ih, dw_hh = jnp.split(weights, [len(w_ih)])
    return None if of_tokens else dinputs, carry, (dw_ih, dw_hh, restored(ds).sum((1, 2)))


def _room(features: int, time: int, state: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Room for what a scan keeps of all times as [features, time, batch], zeros; `state` is [H, batch].

    A row a feature is what the product over all times reads. Stacked by time, it would be copied first.
    """
    zeros = jnp.where(False, state[0], 0.0)  # each device's own, where the state is
    return jnp.broadcast_to(kept(zeros, dtype), (features, time, len(zeros)))


def _with(room: jax.Array, values: jax.Array, t: jax.Array) -> jax.Array:
    """`room` with `values`, [features, batch], at time t."""
    return jax.lax.dynamic_update_slice_in_dim(room, values[:, None], t, axis=1)


def _outer(a: jax.Array, b: jax.Array) -> jax.Array:
    """f32 [k, n]: the sum of outer products of [k, time, batch] and [n, time, batch], each from `_room`."""
    a, b = (operand(values).reshape(len(values), -1) for values in (a, b))
    return _product_of_rows(a, b)


def _product_of_rows(a: jax.Array, b: jax.Array) -> jax.Array:
    """f32 `a @ b.T`."""
    return jax.lax.dot_general(a, b, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32)


def _rows(values: jax.Array, dtype: DTypeLike) -> jax.Array:
    """[features, time x batch] of [time, features, batch]."""
    return values.astype(dtype).swapaxes(0, 1).reshape(values.shape[1], -1)


recur.defvjp(_recur_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense(h: jax.Array, w: jax.Array, dtype: DTypeLike) -> jax.Array:
    """f32 [outputs, time x batch]: `w` [inputs, outputs] over h, f32 [time, inputs, batch]."""
    return product(w.T, _rows(h, dtype), dtype)


def _dense_forward(
    h: jax.Array, w: jax.Array, dtype: DTypeLike
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return dense(h, w, dtype), (h, w)


def _dense_backward(
    dtype: DTypeLike, given: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    h, w = given
    time, inputs, batch = h.shape
    dh = product(w, gradient, dtype).reshape(inputs, time, batch).swapaxes(0, 1)
    return dh, _product_of_rows(_rows(h, dtype), gradient.astype(dtype))


dense.defvjp(_dense_forward, _dense_backward)
