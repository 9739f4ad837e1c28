"""A model's weights as serving wants them, and one step of it: everything in columns, [features, batch].

The weights are the left operand of each product, one row a gate's unit: XLA's products on a CPU repack their
right operand at every call, which is then the narrow state. Both products of a layer are one, the sigmoids'
halves are multiplied into the weights, and what the first layer makes of a character is a row of a table, its
bias included.

In int8, weights are whole numbers with a scale a row, and so are the activations, with one scale for all:
|h| < 1. Their products are summed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import stablehlo
from jax.interpreters import mlir
from numpy.typing import NDArray

from charrepl_train.devices import jax_setup
from charrepl_train.model import lstm
from charrepl_train.model.parameters import Params

Precision = Literal["f32", "bf16", "int8"]

_MOST = 127  # of a whole number: the scale of activations is 1 / 127
_SHIFT = 128  # what makes a weight of -127 to 127 an unsigned byte
_NARROWEST = 4  # columns that a product in low precision takes at no more cost than one


_EXACT = jax.lax.Precision.HIGHEST  # a GPU would round f32 to TF32; a processor does not know it

Carry = tuple[tuple[jax.Array, jax.Array], ...]  # h and c of each layer, f32 [H, batch] each


class Layer(NamedTuple):
    """One layer's weights. K is H in the first layer and 2H, inputs above state, in the others."""

    left: Any  # f32, bf16, int8 or uint8 [4H, K]; uint8 is int8 shifted by 128
    scale: Any  # f32 [4H, 1]: of a product of whole numbers; None for floats
    bias: Any  # f32 [4H, 1]; None in the first layer, whose table has it


class Weights(NamedTuple):
    """All of a model's."""

    table: Any  # f32 [V, 4H]: what each character adds to the first layer
    layers: tuple[Layer, ...]
    output: Any  # f32 [V, H x layers that the output reads]: the last one, or all
    output_bias: Any  # f32 [V, 1]


def prepared(params: Params, precision: Precision, *, unsigned: bool = False) -> Weights:
    """The weights of a trained model, on the device.

    unsigned: keep int8 as unsigned bytes, which is what the processor multiplies with signed ones
    (`multiplies_unsigned`).
    """
    layers: list[Layer] = []
    table: NDArray[np.float32] | None = None
    for name in sorted(params["layers"], key=int):
        weights = {key: np.asarray(value, np.float32) for key, value in params["layers"][name].items()}
        w_ih, w_hh, b = (lstm.halved(weights[key]) for key in ("w_ih", "w_hh", "b"))
        if table is None:
            table = w_ih + b
        left = np.ascontiguousarray((np.concatenate([w_ih, w_hh]) if layers else w_hh).T)
        bias = b[:, None] if layers else None
        if precision == "int8":
            most = np.maximum(np.abs(left).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
            whole = np.round(left * (_MOST / most))
            kept = (whole + _SHIFT).astype(np.uint8) if unsigned else whole.astype(np.int8)
            layers.append(Layer(kept, most / _MOST**2, bias))
        else:
            layers.append(Layer(left.astype(jnp.bfloat16) if precision == "bf16" else left, None, bias))
    output = {key: np.asarray(value, np.float32) for key, value in params["output"].items()}
    weights_ = Weights(table, tuple(layers), np.ascontiguousarray(output["w"].T), output["b"][:, None])
    return jax.tree.map(jax.device_put, weights_)


def step_bytes(weights: Weights) -> int:
    """How many bytes of weights a step reads."""
    return sum(layer.left.nbytes for layer in weights.layers) + int(weights.output.nbytes)


def unpacked(rows: jax.Array, shape: tuple[int, int, int]) -> Carry:
    """The carry in columns, from f32 [batch, layers x 2 x H], a writer a row; shape: (layers, 2, H)."""
    columns = rows.T.reshape(*shape, -1)
    return tuple((columns[n, 0], columns[n, 1]) for n in range(shape[0]))


def packed(carry: Carry) -> jax.Array:
    """The rows that `unpacked` makes this carry of."""
    return jnp.concatenate([part for layer in carry for part in layer]).T


def chosen(where: jax.Array, carry: Carry, other: Carry) -> Carry:
    """The columns of `carry` where bool [batch] is true, and of `other` where not."""
    return tuple(
        (jnp.where(where, h, h_other), jnp.where(where, c, c_other))
        for (h, c), (h_other, c_other) in zip(carry, other, strict=True)
    )


def step(weights: Weights, carry: Carry, tokens: jax.Array) -> Carry:
    """The carry after one more character each, int32 [batch]."""
    after: list[tuple[jax.Array, jax.Array]] = []
    inputs: list[jax.Array] = []
    for layer, (h, c) in zip(weights.layers, carry, strict=True):
        added = weights.table[tokens].T if layer.bias is None else layer.bias
        i, f, o, g = lstm.gates(_product(layer, [*inputs, h]) + added, axis=0)
        c = f * c + i * g
        # Without the barrier XLA works the gates out again in every place that reads h or c.
        h, c = jax.lax.optimization_barrier((o * jnp.tanh(c), c))
        after.append((h, c))
        inputs = [h]
    return tuple(after)


def logits(weights: Weights, carry: Carry) -> jax.Array:
    """f32 [batch, V] for the character after the carry."""
    read = carry if weights.output.shape[1] > carry[0][0].shape[0] else carry[-1:]
    summed = jnp.dot(weights.output, jnp.concatenate([h for h, _ in read]), precision=_EXACT)
    return (summed + weights.output_bias).T


def _product(layer: Layer, right: Sequence[jax.Array]) -> jax.Array:
    """f32 [4H, batch]: a layer's weights times inputs and state, f32 [H, batch] each."""
    x = jnp.concatenate(right)
    batch = x.shape[1]
    if layer.left.dtype != jnp.float32 and batch < _NARROWEST:
        # A single column is not taken for such a product: XLA would widen the weights first.
        x = jnp.pad(x, ((0, 0), (0, _NARROWEST - batch)))
    if layer.scale is None:
        x = x.astype(layer.left.dtype)
        summed = jnp.dot(layer.left, x, precision=_EXACT, preferred_element_type=jnp.float32)
        return summed[:, :batch]
    whole = jnp.round(x * _MOST).astype(jnp.int8)
    if layer.left.dtype == jnp.uint8:
        summed = _mixed_dot.bind(layer.left, whole)
        summed = summed - _SHIFT * jnp.sum(whole, axis=0, dtype=jnp.int32)
    else:
        summed = jnp.dot(layer.left, whole, preferred_element_type=jnp.int32)
    return summed[:, :batch].astype(jnp.float32) * layer.scale


# jnp.dot widens operands of different types, and four bytes a weight are read where one would do.
_mixed_dot = Primitive("uint8_int8_dot")


def _mixed_dot_type(left: Any, right: Any) -> Any:
    return jax.core.ShapedArray((left.shape[0], right.shape[1]), jnp.int32)


def _mixed_dot_lowering(context: Any, left: Any, right: Any) -> list[Any]:
    (result,) = context.avals_out
    kind = ir.RankedTensorType.get(result.shape, ir.IntegerType.get_signless(32))
    dimensions = stablehlo.DotDimensionNumbers.get([], [], [1], [0])
    return [stablehlo.dot_general(kind, left, right, dimensions)]


_mixed_dot.def_abstract_eval(_mixed_dot_type)
mlir.register_lowering(_mixed_dot, _mixed_dot_lowering)


def multiplies_unsigned() -> bool:
    """Whether the processor multiplies unsigned bytes with signed ones, as AVX-512 VNNI and AMX do.

    Products of bytes are known to be faster than those of floats there, and nowhere else so far.
    """
    return bool(jax_setup.cpu_flags() & {"avx512_vnni", "amx_int8"})
