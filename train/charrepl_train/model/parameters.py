"""A model's weights as a tree, without the module they belong to: what serving needs to know of them.

Here, and not in `network.py`, so that a daemon starts without importing flax.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from charrepl_train.hyperparameters import ModelConfig

Params = dict[str, Any]  # nested: {"layers": {"0": {"w_ih", "w_hh", "b"}, ...}, "output": {"w", "b"}}


def empty(config: ModelConfig, vocabulary: int) -> Params:
    """f32 arrays, not filled in, in the shapes of a model's weights."""
    hidden = config.hidden_size

    def layer(inputs: int) -> Params:
        shapes = {"w_ih": (inputs, 4 * hidden), "w_hh": (hidden, 4 * hidden), "b": (4 * hidden,)}
        return {name: np.empty(shape, np.float32) for name, shape in shapes.items()}

    return {
        "layers": {str(n): layer(hidden if n else vocabulary) for n in range(config.layers)},
        "output": {
            "w": np.empty((config.output_inputs, vocabulary), np.float32),
            "b": np.empty(vocabulary, np.float32),
        },
    }
