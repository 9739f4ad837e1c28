"""The loss of a model on a text, in nats per character."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from charrepl_train import model as model_module
from charrepl_train.data import Ids, in_streams
from charrepl_train.model import Definition
from charrepl_train.parallel import AXIS, WHOLE, Devices, Share
from charrepl_train.params import Params

DEV_STREAMS = 32
_PIECE = 256  # characters a call: bounds the memory of the activations...
_LOGITS = 2**24  # ...and so does this of the logits, where the alphabet is large
_OVERLAP = 1024  # characters that warm a stream's carry: what the model's window guarantees too
_WINDOW = 256  # characters, for comparison with models of that context


@functools.partial(jax.jit, static_argnums=0, static_argnames="share")
def _piece(
    definition: Definition,
    params: Params,
    carry: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    share: Share | None,
) -> tuple[jax.Array, jax.Array]:
    read = functools.partial(_read, definition, share)
    if share is not None:
        spread = PartitionSpec(AXIS)
        read = share.run(read, (WHOLE, spread, spread, spread, spread), (spread, WHOLE))
    return read(params, carry, inputs, targets, weights)


def _read(
    definition: Definition,
    share: Share | None,
    params: Params,
    carry: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    carry, nats, _ = model_module.bind(definition, params).losses(carry, inputs, targets)
    total = jnp.sum(nats * weights.T)
    return carry, total if share is None else jax.lax.psum(total, AXIS)


class Evaluator:
    """Losses of one model definition; every text is read in pieces of one compiled shape a batch.

    Where there are `devices`, the weights are to be on all of them, and each reads its share of the streams.
    """

    def __init__(
        self, definition: Definition, layers: int, hidden_size: int, devices: Devices | None = None
    ) -> None:
        self._definition = definition
        self._devices = devices or Devices()
        self._carry_shape = (layers, 2, hidden_size)

    def streams(self, params: Params, ids: Ids, streams: int) -> float:
        """The mean loss of a text read as equal streams, each from a zero carry."""
        ids = ids.astype(np.int32)
        return self._total(params, self._zeros(streams), *in_streams(ids, streams)) / (len(ids) - 1)

    def stateful(self, params: Params, ids: Ids) -> float:
        """The mean loss of a text read in one pass from a zero carry.

        A long text is read as streams side by side, each warmed by the 1,024 characters before it:
        60 times faster, and within 1e-4 nats of the single pass (ARCHITECTURE.md, Measures).
        """
        ids = ids.astype(np.int32)
        streams = max(1, min(64, len(ids) // (8 * _OVERLAP)))
        inputs, targets, weights = in_streams(ids, streams)
        carry = self._zeros(streams)
        if streams > 1:
            starts = np.arange(1, streams)[:, None] * inputs.shape[1]
            warm = ids[np.maximum(starts + np.arange(-_OVERLAP, 0), 0)]
            warm = np.concatenate([warm[:1], warm])  # the first stream's row only keeps the shape
            carry, _ = self._run(params, carry, warm, warm, np.zeros(warm.shape, np.float32))
            carry = carry.at[0].set(0)
        return self._total(params, carry, inputs, targets, weights) / (len(ids) - 1)

    def windows(self, params: Params, ids: Ids) -> float | None:
        """The mean loss in windows of 256 predictions from a zero carry, None if there is not one."""
        count = (len(ids) - 1) // _WINDOW
        if not count:
            return None
        ids = ids.astype(np.int32)
        place = np.arange(count)[:, None] * _WINDOW + np.arange(_WINDOW)
        total, batch = 0.0, 64
        for first in range(0, count, batch):
            rows = place[first : first + batch]
            weights = np.ones(rows.shape, np.float32)
            if len(rows) < batch:  # padded, so that one program serves all
                weights = np.pad(weights, ((0, batch - len(rows)), (0, 0)))
                rows = np.pad(rows, ((0, batch - len(rows)), (0, 0)))
            total += self._total(params, self._zeros(batch), ids[rows], ids[rows + 1], weights)
        return total / (count * _WINDOW)

    def _zeros(self, streams: int) -> jax.Array:
        rows = len(self._devices.rows(streams))
        return jnp.asarray(self._devices.spread(np.zeros((rows, *self._carry_shape), np.float32)))

    def _total(self, params: Params, carry: jax.Array, *arrays: np.ndarray) -> float:
        return self._run(params, carry, *arrays)[1]

    def _run(self, params: Params, carry: jax.Array, *arrays: np.ndarray) -> tuple[jax.Array, float]:
        streams, time = arrays[0].shape
        row = streams * params["output"]["b"].size
        most = max(1, min(_PIECE, _LOGITS // row))
        padded = -(-time // most) * most if time > most else time
        share = self._devices.share(streams)
        arrays = tuple(np.pad(self._devices.own_rows(a), ((0, 0), (0, padded - time))) for a in arrays)
        total = 0.0
        for start in range(0, padded, most):
            piece = [jnp.asarray(self._devices.spread(a[:, start : start + most])) for a in arrays]
            carry, nats = _piece(self._definition, params, carry, *piece, share=share)
            total += float(nats)  # summed in f64: a million f32 terms would drift
        return carry, total
