"""Muon for the recurrent layers: steps whose singular values are all about one, instead of Adam's.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. A gate's matrix is made
orthogonal by itself: four of [k, H] cost less than one of [k, 4H], and learn as fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from charrepl_train.model.lstm import product
from charrepl_train.model.parameters import Params

_GATES = MuonDimensionNumbers(reduction_axis=0, output_axis=2)  # of [k, 4, H]
# Of x, x^3 and x^5 in an iteration: Jordan's, and a pair of iterations after aol that brings singular values
# as they are in training nearer to one than three of Jordan's do, and those of up to 1.03 to at most 1.24.
_JORDAN = 3.4445, -4.7750, 2.0315
_FITTED_PAIR = (5.338, -14.546, 10.100), (3.448, -4.536, 1.786)
Preconditioning = Literal["frobenius", "aol"]
_RMS = 0.2  # of a step's elements: about that of Adam's, so that one learning rate fits both


def scale_by_muon_or(
    other: optax.GradientTransformation,
    *,
    iterations: int,
    preconditioning: Preconditioning = "frobenius",
    dtype: DTypeLike = jnp.float32,
    other_rate: float = 1.0,
) -> optax.GradientTransformation:
    """Muon for the matrices from hidden units to gates, and `other` for the rest.

    iterations, preconditioning, dtype: as in `orthogonal`. other_rate: a factor of the steps of `other`.
    """
    # No iterations of its own, which would be in f32: what is left is momentum, each gate's by its norm.
    momentum = scale_by_muon(ns_steps=0, weight_dimension_numbers=_dimensions)

    def step(momentum: jax.Array) -> jax.Array:
        gates = momentum.swapaxes(0, 1)
        gates = orthogonal(gates, iterations=iterations, preconditioning=preconditioning, dtype=dtype)
        return gates.swapaxes(0, 1) * (_RMS * max(gates.shape[1:]) ** 0.5)

    muon = optax.chain(momentum, optax.stateless(lambda matrices, _: jax.tree.map(step, matrices)))

    def init(params: Params) -> dict[str, Any]:
        matrices, rest = _parted(params)
        return {"muon": muon.init(matrices), "other": other.init(rest)}

    def update(gradient: Params, state: dict[str, Any], params: Params | None = None) -> tuple[Params, Any]:
        matrices, rest = _parted(gradient)
        matrices, muons = muon.update(matrices, state["muon"])
        rest, others = other.update(rest, state["other"])
        rest = jax.tree.map(lambda step: other_rate * step, rest)
        return _joined(matrices, rest), {"muon": muons, "other": others}

    return optax.GradientTransformation(init, update)


def orthogonal(
    matrices: jax.Array,
    *,
    iterations: int,
    preconditioning: Preconditioning = "frobenius",
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """f32 [n, k, H]: nearly the orthogonal matrix nearest to each of `matrices`, whose Frobenius norm is 1.

    iterations: of Newton and Schulz, whose products are of `dtype` with sums in f32.
    preconditioning: aol scales each row by a bound of its own, so that small singular values start larger
    (Boissin et al., "Turbo-Muon", 2025). Two iterations after it have coefficients of their own.
    """
    one = functools.partial(_orthogonal, iterations=iterations, preconditioning=preconditioning, dtype=dtype)
    return jax.lax.platform_dependent(
        matrices,
        # One at a time stays in a CPU's cache.
        cpu=functools.partial(jax.lax.map, functools.partial(one, square_of=_square_by_blocks)),
        default=jax.vmap(functools.partial(one, square_of=_square)),
    )


def _orthogonal(
    x: jax.Array,
    *,
    iterations: int,
    preconditioning: Preconditioning,
    dtype: DTypeLike,
    square_of: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    fitted = preconditioning == "aol" and iterations == len(_FITTED_PAIR)
    for n, (linear, cubic, quintic) in enumerate(_FITTED_PAIR if fitted else (_JORDAN,) * iterations):
        square = square_of(x.astype(dtype))
        if preconditioning == "aol" and n == 0:
            scale = jax.lax.rsqrt(jnp.maximum(jnp.abs(square).sum(1, keepdims=True), 1e-8))
            x, square = scale * x, scale * square * scale.T
        fourth = product(square, square, dtype)
        x = linear * x + product(cubic * square + quintic * fourth, x, dtype)
    return x


def _square(a: jax.Array) -> jax.Array:
    """f32 `a @ a.T`."""
    return product(a, a.T, a.dtype)


def _square_by_blocks(a: jax.Array) -> jax.Array:
    """As `_square`, without the block below the diagonal, which is the one above it."""
    half = len(a) // 2
    # Transposed before: on a CPU, a product that transposes takes twice as long.
    across = jax.lax.optimization_barrier(a.T)
    top, corner = product(a[:half], across, a.dtype), product(a[half:], across[:, half:], a.dtype)
    return jnp.concatenate([top, jnp.concatenate([top[:, half:].T, corner], axis=1)])


def _dimensions(matrices: Any) -> Any:
    return jax.tree.map(lambda _: _GATES, matrices)


def _parted(params: Params) -> tuple[Params, Params]:
    """The matrices whose inputs are hidden units, as [k, 4, H], and all else."""
    matrices: Params = {}
    rest: Params = {"output": params["output"], "layers": {}}
    for n, layer in params["layers"].items():
        names = {"w_hh"} if n == "0" else {"w_ih", "w_hh"}  # a character's row is not a matrix's
        matrices[n] = {name: layer[name].reshape(len(layer[name]), 4, -1) for name in names}
        rest["layers"][n] = {name: leaf for name, leaf in layer.items() if name not in names}
    return matrices, rest


def _joined(matrices: Params, rest: Params) -> Params:
    layers = {
        n: {**layer, **{name: leaf.reshape(len(leaf), -1) for name, leaf in matrices[n].items()}}
        for n, layer in rest["layers"].items()
    }
    return {**rest, "layers": layers}
