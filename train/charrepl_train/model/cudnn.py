"""The recurrent layer by cuDNN: on a GPU one call for all characters, where a scan takes several for each.

Whether it is used depends on a trial on the device of a run: on what it computes, and how fast: `fastest`.
"""

from __future__ import annotations

import functools
import logging
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from charrepl.errors import reason
from charrepl_train.devices import jax_setup
from charrepl_train.model import lstm, products
from charrepl_train.model.lstm import Carry, Recur, Weights

log = logging.getLogger(__name__)

_TRIED = 7  # calls timed
_MOST_SHARE = 1 / 16  # of the GPU's memory for one layer's space, declared as JAX declares it
_AGREEING = 0.03  # of the largest number: what products of 8 bits may differ by


def recur(inputs: jax.Array, carry: Carry, weights: Weights, dtype: DTypeLike) -> tuple[jax.Array, Carry]:
    """As `lstm.recur`, for a GPU. In bf16, products are of TF32, as JAX has no others by cuDNN."""
    from jax.experimental import rnn

    w_ih, w_hh, b = weights
    if lstm.by_row(inputs, w_ih):
        return lstm.recur(inputs, carry, weights, dtype)  # cuDNN looks nothing up
    size, hidden = len(w_ih), len(w_hh)
    columns = lstm.columns(inputs, w_ih, jnp.float32)
    time_, _, batch = columns.shape
    # cuDNN has two biases, and the rows of a matrix are its outputs.
    packed = [_reordered(w_ih).T, _reordered(w_hh).T, _reordered(b), jnp.zeros_like(b)]
    outputs, *last = rnn.lstm(
        columns.transpose(2, 0, 1),
        *(state.T[None] for state in carry),
        jnp.concatenate([part.reshape(-1) for part in packed]),
        jnp.full(batch, time_, jnp.int32),
        size,
        hidden,
        1,
        0.0,
        False,
    )  # as exact as `products.in_precision` has it
    h, c = (state[0].T for state in last)
    return outputs.transpose(1, 2, 0), (h, c)


def _reordered(weights: jax.Array) -> jax.Array:
    """Gates, along the last axis, as cuDNN has them: input, forget, candidate, output."""
    i, f, o, g = jnp.split(weights, 4, axis=-1)
    return jnp.concatenate([i, f, g, o], axis=-1)


def chosen(before: str, hidden: int, batch: int, time_: int, precision: str) -> Recur:
    """`recur` of this module or of `lstm`, as a run began; as `fastest` has it if `before` is empty.

    Each gives other last digits, so that a run keeps what it began with.
    """
    if not before:
        return fastest(hidden, batch, time_, precision)
    if before == "cudnn" and not _possible():
        log.warning(
            "this run began with cuDNN, which is not here: its losses may differ in their last digits"
        )
    return recur if before == "cudnn" and _possible() else lstm.recur


def fastest(hidden: int, batch: int, time_: int, precision: str) -> Recur:
    """`recur` of this module or of `lstm`: cuDNN's if it gives the same numbers here in less time.

    Tried on a layer of [hidden, batch] over `time_` characters, forward and back, both with products of that
    precision. Without a GPU, or with several, or where cuDNN fails in any way, it is `lstm.recur`.
    """
    if not _possible():
        return lstm.recur
    given = _operands(hidden, batch, time_)
    try:
        if _too_large(hidden, batch, time_):
            log.info("training without cuDNN: its space would be too much of the GPU's memory")
            return lstm.recur
        if not _agree(_gradient(recur, precision, *given), _gradient(lstm.recur, precision, *given)):
            log.warning("cuDNN computes something else here: training without it")
            return lstm.recur
        own, other = (_seconds(function, precision, given) for function in (recur, lstm.recur))
    except Exception as error:  # missing, too old, another maker's: nothing it says should stop a training
        log.info("training without cuDNN: %s", reason(error))
        return lstm.recur
    return recur if own < other else lstm.recur


def _possible() -> bool:
    return jax_setup.has_gpu() and jax.device_count() == 1  # within a `shard_map` JAX has no cuDNN


def _too_large(hidden: int, batch: int, time_: int) -> bool:
    from jaxlib import gpu_rnn

    most = jax_setup.gpu_bytes()
    if most is None:
        return False
    shape = hidden, hidden, 1, batch, time_, 0.0, False, True
    # JAX takes sizes in bytes for sizes of f32 arrays: four times what cuDNN asks for.
    return 4 * sum(gpu_rnn.compute_rnn_workspace_reserve_space_sizes(*shape)) > _MOST_SHARE * most


def _operands(hidden: int, batch: int, time_: int) -> tuple[jax.Array, Carry, Weights]:
    keys = jax.random.split(jax.random.key(0), 6)
    h, c = (jax.random.normal(key, (hidden, batch)) for key in keys[:2])
    w_ih, w_hh = (jax.random.normal(key, (hidden, 4 * hidden)) / hidden**0.5 for key in keys[2:4])
    b = jax.random.normal(keys[4], (4 * hidden,))
    return jax.random.normal(keys[5], (time_, hidden, batch)), (h, c), (w_ih, w_hh, b)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _gradient(function: Recur, precision: str, *given: Any) -> Any:
    """The outputs, and the gradient by everything given of a sum in which all of them count."""

    def total(inputs: jax.Array, carry: Carry, weights: Weights) -> tuple[jax.Array, Any]:
        outputs = function(inputs, carry, weights, products.dtype(precision))
        return jnp.sum(jnp.stack([jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(outputs)])), outputs

    with products.in_precision(precision):
        return jax.grad(total, argnums=(0, 1, 2), has_aux=True)(*given)


def _agree(mine: Any, other: Any) -> bool:
    def near(a: jax.Array, b: jax.Array) -> bool:
        return bool(jnp.abs(a - b).max() <= _AGREEING * jnp.abs(b).max())

    return jax.tree.all(jax.tree.map(near, mine, other))


def _seconds(function: Recur, precision: str, given: Any) -> float:
    def once() -> float:
        start = time.perf_counter()
        jax.block_until_ready(_gradient(function, precision, *given))
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(_TRIED))
