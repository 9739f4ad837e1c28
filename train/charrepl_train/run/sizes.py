"""How large a model is, for `--size`: layers and units, by the preset that a text's length chose."""

from __future__ import annotations

from typing import Literal

from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config, ModelConfig

Size = Literal["small", "medium", "large"]
SIZES: tuple[Size, ...] = ("small", "medium", "large")

_LADDER = (
    (1, 128),
    (1, 256),
    (2, 256),
    (3, 512),
    (3, 1024),
)  # layers and units; a preset's is one between two others


def sized(config: Config, size: Size) -> Config:
    """A preset with a model of a size: `medium` is its own, the others are a rung below and above that."""
    layers, hidden_size = by_name(config.model)[size]
    return hyperparameters.replace(config, model={"layers": layers, "hidden_size": hidden_size})


def by_name(model: ModelConfig) -> dict[Size, tuple[int, int]]:
    """Layers and units of each size, where `model` is a preset's."""
    rung = _LADDER.index((model.layers, model.hidden_size))
    return dict(zip(SIZES, _LADDER[rung - 1 : rung + 2], strict=True))
