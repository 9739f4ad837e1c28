"""The LSTM cell as a textbook writes it, in float64 numpy: what everything faster has to agree with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def as_float64(tree: Any) -> Any:
    """A tree of weights as float64 numpy arrays."""
    if isinstance(tree, Mapping):
        return {name: as_float64(value) for name, value in tree.items()}
    return np.asarray(tree, np.float64)


def cell(
    weights: Mapping[str, np.ndarray], x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """h and c after the inputs `x`; any leading axes."""
    i, f, o, g = np.split(x @ weights["w_ih"] + h @ weights["w_hh"] + weights["b"], 4, axis=-1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
