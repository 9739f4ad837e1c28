"""In which numbers a model is served: as low as is faster here and costs next to nothing."""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import jax
import numpy as np

from charrepl_daemon import programs
from charrepl_daemon import weights as network
from charrepl_daemon.weights import Precision, Weights
from charrepl_train import device
from charrepl_train.model import Params

log = logging.getLogger(__name__)

Wish = Literal["auto", "f32", "bf16", "int8"]

MOST_COST = 0.003  # nats a character that `auto` may lose
_WORTH_IT = 1 << 20  # bytes of f32 weights below which a step is all overhead


class Served(NamedTuple):
    """A model's weights in the numbers chosen."""

    precision: Precision
    weights: Weights
    exact: Weights  # in f32: what scores are computed with
    cost: float  # nats a character


def served(params: Params, wish: Wish, *, newline: int) -> Served:
    """The weights to serve: as wished, or with `auto` as bytes where that is faster and costs little."""
    exact = network.prepared(params, "f32")
    plain = Served("f32", exact, exact, 0.0)
    if wish == "f32" or (wish == "auto" and not _pays(exact)):
        return plain
    precision: Precision = "int8" if wish == "auto" else wish
    low = network.prepared(params, precision, unsigned=_unsigned())
    cost = _cost(exact, low, newline)
    log.info("%s costs %.5f nats a character", precision, cost)
    if not cost <= MOST_COST:
        if wish == "auto":
            log.info("that is over %g: serving in f32", MOST_COST)
            return plain
        log.warning("%s costs more than the %g nats that auto would allow", precision, MOST_COST)
    return Served(precision, low, exact, cost)


def _pays(exact: Weights) -> bool:
    on_processor = not device.has_gpu()
    return on_processor and network.multiplies_bytes() and network.step_bytes(exact) >= _WORTH_IT


def _unsigned() -> bool:
    return not device.has_gpu() and network.multiplies_unsigned()


def _cost(exact: Weights, low: Weights, newline: int) -> float:
    hidden = exact.output.shape[1]
    program = jax.jit(programs.cost_program((len(exact.layers), 2, hidden)))
    return float(program(exact, low, np.int32(newline), jax.random.key(0)))
