"""Muon for the recurrent layers: steps whose singular values are all about one, instead of Adam's.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. A gate's matrix is made
orthogonal by itself: four of [k, H] cost less than one of [k, 4H], and learn as fast.
"""

from __future__ import annotations

from typing import Any

import jax
import optax
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from charrepl_train.model.parameters import Params

_GATES = MuonDimensionNumbers(reduction_axis=0, output_axis=2)  # of [k, 4, H]
_RMS = 0.2  # of a step's elements: about that of Adam's, so that one learning rate fits both


def scale_by_muon_or(
    other: optax.GradientTransformation, *, iterations: int, other_rate: float = 1.0
) -> optax.GradientTransformation:
    """Muon for the matrices from hidden units to gates, and `other` for the rest.

    iterations: of Newton and Schulz, towards the nearest orthogonal matrix. other_rate: a factor of the steps
    of `other`.
    """
    orthogonal = optax.chain(
        scale_by_muon(ns_steps=iterations, weight_dimension_numbers=_dimensions), _rescaled()
    )

    def init(params: Params) -> dict[str, Any]:
        matrices, rest = _parted(params)
        return {"muon": orthogonal.init(matrices), "other": other.init(rest)}

    def update(gradient: Params, state: dict[str, Any], params: Params | None = None) -> tuple[Params, Any]:
        matrices, rest = _parted(gradient)
        matrices, muon = orthogonal.update(matrices, state["muon"])
        rest, others = other.update(rest, state["other"])
        rest = jax.tree.map(lambda step: other_rate * step, rest)
        return _joined(matrices, rest), {"muon": muon, "other": others}

    return optax.GradientTransformation(init, update)


def _dimensions(matrices: Any) -> Any:
    return jax.tree.map(lambda _: _GATES, matrices)


def _rescaled() -> optax.GradientTransformation:
    return optax.stateless(
        lambda matrices, _: jax.tree.map(lambda m: m * (_RMS * max(m.shape[0], m.shape[2]) ** 0.5), matrices)
    )


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
