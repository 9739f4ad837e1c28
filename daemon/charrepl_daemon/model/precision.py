"""The numbers that a model is served in: the smallest that are faster here and cost almost nothing."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from charrepl.errors import CharreplError
from charrepl.files import whole_file
from charrepl.system import paths
from charrepl_daemon.model import compiled_programs, programs
from charrepl_daemon.model import serving_lstm as network
from charrepl_daemon.model.serving_lstm import Precision, Weights
from charrepl_train.devices import jax_setup
from charrepl_train.model.parameters import Params

log = logging.getLogger(__name__)

PrecisionChoice = Literal["auto", "f32", "bf16", "int8"]

MOST_COST = 0.003  # nats a character that `auto` may lose
_REMEMBERED = 100  # models
_WORTH_IT = 1 << 20  # bytes of f32 weights below which a step is all overhead


class ServedModel(NamedTuple):
    """A model's weights in the numbers chosen."""

    precision: Precision
    weights: Weights
    exact: Weights  # in f32: what scores are computed with
    cost: float  # nats a character


def served(params: Params, wish: PrecisionChoice, *, newline: int, digest: str = "") -> ServedModel:
    """The weights to serve: as wished, or with `auto` as bytes where that is faster and costs little.

    What a model loses is remembered by its digest, if there is one, from one start to the next, until
    anything changes that computes it.
    """
    exact = network.prepared(params, "f32")
    plain = ServedModel("f32", exact, exact, 0.0)
    if wish == "f32" or (wish == "auto" and not _pays(exact)):
        return plain
    precision: Precision = "int8" if wish == "auto" else wish
    low = network.prepared(params, precision, unsigned=_unsigned())
    known = _known()
    name = f"{digest} {precision} {compiled_programs.here()}"
    cost = known[name] if name in known else _cost(exact, low, newline)
    if digest and name not in known:
        _remember({**dict(list(known.items())[-_REMEMBERED:]), name: cost})
    log.info("%s costs %.5f nats a character", precision, cost)
    if not cost <= MOST_COST:
        if wish == "auto":
            log.info("that is over %g: serving in f32", MOST_COST)
            return plain
        log.warning("%s costs more than the %g nats that auto would allow", precision, MOST_COST)
    return ServedModel(precision, low, exact, cost)


def _pays(exact: Weights) -> bool:
    return _unsigned() and network.step_bytes(exact) >= _WORTH_IT


def _unsigned() -> bool:
    return not jax_setup.has_gpu() and network.multiplies_unsigned()


def _cost(exact: Weights, low: Weights, newline: int) -> float:
    shape = len(exact.layers), 2, exact.layers[0].left.shape[1]
    arguments = exact, low, np.int32(newline), np.uint32(0)
    program = compiled_programs.program(
        programs.cost_program(shape), *arguments, name="cost", constants=shape
    )
    return float(program(*arguments))


def _file() -> Path:
    return paths.compilation_cache_dir() / "precision.json"


def _known() -> dict[str, float]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}


def _remember(costs: dict[str, float]) -> None:
    with contextlib.suppress(CharreplError):  # it is measured again
        paths.private_dir(_file().parent)
        whole_file.write(_file(), msgspec.json.encode(costs))
