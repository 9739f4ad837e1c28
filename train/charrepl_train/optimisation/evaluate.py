"""The loss of a model on a text, in nats per character, and how sure it should be for the lowest."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from numpy.typing import NDArray

from charrepl_train.devices.data_parallel import AXIS, REPLICATED, Devices, Share
from charrepl_train.model import network, products
from charrepl_train.model.network import CharacterModel, Definition
from charrepl_train.model.parameters import Params
from charrepl_train.text.excerpts import CONTEXT, Excerpts, Streams

_PIECE = 256  # characters a call: bounds the memory of the activations...
_LOGITS = 2**24  # ...and so does this of the logits, where the alphabet is large
_WINDOW = 256  # characters, for comparison with models of that context
_DEV_STREAM, _DEV_WARM = 1024, 256  # characters of a stream of the dev slice, and before it
_CALIBRATED_BY = 8192  # characters of the dev slice in all, the first of each stream
_NEWTON_STEPS = 2
_SHARPEST = 2.0
_UNMOVED = 750.0  # curvature, of some 500 characters, by which few characters move it little

# The carry after some characters, and sums over them, f32 [n].
Measure = Callable[[CharacterModel, jax.Array, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]

GoOn = Callable[[], None]  # may raise, to end it


def _nats(
    model: CharacterModel, carry: jax.Array, inputs: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The loss."""
    carry, nats, _ = model.losses(carry, inputs, targets)
    return carry, jnp.sum(nats * weights.T)[None]


def _slopes(
    model: CharacterModel, carry: jax.Array, inputs: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The first and the second derivative of the loss by a factor of all logits, at 1."""
    carry, logits = model(carry, inputs)
    probs = jax.nn.softmax(logits)
    expected = jnp.sum(probs * logits, axis=-1)
    variance = jnp.sum(probs * (logits - expected[..., None]) ** 2, axis=-1)
    true = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return carry, jnp.stack([jnp.sum((expected - true) * weights), jnp.sum(variance * weights)])


@functools.partial(jax.jit, static_argnums=(0, 1), static_argnames="share")
def _piece(
    definition: Definition,
    measure: Measure,
    params: Params,
    carry: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    share: Share | None,
) -> tuple[jax.Array, jax.Array]:
    read = functools.partial(_read, definition, measure, share)
    if share is not None:
        spread = PartitionSpec(AXIS)
        read = share.shard_map(read, (REPLICATED, spread, spread, spread, spread), (spread, REPLICATED))
    return read(params, carry, inputs, targets, weights)


def _read(
    definition: Definition,
    measure: Measure,
    share: Share | None,
    params: Params,
    carry: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    with products.in_precision("f32"):  # whatever the run computes in: losses are compared between runs
        carry, sums = measure(network.bind(definition, params), carry, inputs, targets, weights)
    return carry, sums if share is None else jax.lax.psum(sums, AXIS)


def dev_reads(text: Excerpts, *, calibrate: bool) -> int:
    """How many characters `Evaluator.dev` reads."""
    streams = _dev_streams(text)
    time = streams.before.shape[1] + streams.inputs.shape[1]
    return len(streams.inputs) * (time + calibrate * _NEWTON_STEPS * _calibrated_by(streams))


def _dev_streams(text: Excerpts) -> Streams:
    return text.streams(_DEV_STREAM, warm=_DEV_WARM)


def _calibrated_by(streams: Streams) -> int:
    """How many characters of each stream."""
    return min(streams.inputs.shape[1], -(-_CALIBRATED_BY // max(1, len(streams.inputs))))


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

    def dev(self, params: Params, text: Excerpts, *, calibrate: bool) -> tuple[Params, float]:
        """The weights, calibrated by a text if so asked, and the text's mean loss with them.

        It is read in streams of about 1,024 characters, each warmed by the 256 before it.
        To calibrate is to divide the output layer's weights by the temperature that suits the text.
        Networks come out of training too sure of themselves; one number makes up for most of it (Guo et al.,
        "On Calibration of Modern Neural Networks", 2017). The loss is convex in its inverse, and nearly a
        parabola: two steps of Newton's method find it.
        """
        streams = _dev_streams(text)
        carry = self._warmed(params, streams)  # which the temperature has no part in
        arrays = streams.inputs, streams.targets, streams.weights
        for _ in range(_NEWTON_STEPS * calibrate):
            most = _calibrated_by(streams)
            _, (first, second) = self._run(params, carry, *(a[:, :most] for a in arrays), measure=_slopes)
            factor = np.float32(np.clip(1 - first / (second + _UNMOVED), 1 / _SHARPEST, _SHARPEST))
            output = {name: leaf * factor for name, leaf in params["output"].items()}
            params = {**params, "output": output}
        return params, self._total(params, carry, *arrays) / float(streams.weights.sum())

    def stateful(self, params: Params, text: Excerpts, go_on: GoOn = lambda: None) -> float:
        """The mean loss of a text, each piece of it read in one pass. `go_on` is called now and then.

        It starts with the 1,024 characters before a piece, or from a zero carry where the text begins.
        A long text is read as streams side by side, each warmed by so many characters before it:
        60 times faster, and within 1e-4 nats of the single pass
        (docs/design/training.md#loss-on-held-out-text).
        """
        side_by_side = max(1, min(64, len(text) // (2 * CONTEXT)))
        streams = text.streams(-(-len(text) // side_by_side), warm=CONTEXT)
        arrays = streams.inputs, streams.targets, streams.weights
        total = self._total(params, self._warmed(params, streams), *arrays, go_on=go_on)
        return total / float(streams.weights.sum())

    def windows(self, params: Params, text: Excerpts, go_on: GoOn = lambda: None) -> float | None:
        """The mean loss in windows of 256 predictions from a zero carry, None if there is not one."""
        rows = text.windows(_WINDOW)
        total, batch = 0.0, 64
        for first in range(0, len(rows), batch):
            some = rows[first : first + batch]
            weights = np.ones((len(some), _WINDOW), np.float32)
            if len(some) < batch:  # padded, so that one program serves all
                weights = np.pad(weights, ((0, batch - len(some)), (0, 0)))
                some = np.pad(some, ((0, batch - len(some)), (0, 0)))
            total += self._total(params, self._zeros(batch), some[:, :-1], some[:, 1:], weights, go_on=go_on)
        return total / (len(rows) * _WINDOW) if len(rows) else None

    def _warmed(self, params: Params, streams: Streams) -> jax.Array:
        carry = self._zeros(len(streams.inputs))
        if not streams.warmed.any():
            return carry
        before = streams.before
        carry, _ = self._run(params, carry, before, before, np.zeros(before.shape, np.float32))
        warmed = self._devices.shard(self._devices.own_rows(streams.warmed))
        return carry * jnp.asarray(warmed)[:, None, None, None]

    def _zeros(self, streams: int) -> jax.Array:
        rows = len(self._devices.rows(streams))
        return jnp.asarray(self._devices.shard(np.zeros((rows, *self._carry_shape), np.float32)))

    def _total(
        self, params: Params, carry: jax.Array, *arrays: np.ndarray, go_on: GoOn = lambda: None
    ) -> float:
        return float(self._run(params, carry, *arrays, go_on=go_on)[1][0])

    def _run(
        self,
        params: Params,
        carry: jax.Array,
        *arrays: np.ndarray,
        measure: Measure = _nats,
        go_on: GoOn = lambda: None,
    ) -> tuple[jax.Array, NDArray[np.float64]]:
        streams, time = arrays[0].shape
        row = streams * params["output"]["b"].size
        most = max(1, min(_PIECE, _LOGITS // row))
        padded = -(-time // most) * most if time > most else time
        share = self._devices.share(streams)
        arrays = tuple(np.pad(self._devices.own_rows(a), ((0, 0), (0, padded - time))) for a in arrays)
        total = np.zeros(1)
        for start in range(0, padded, most):
            piece = [jnp.asarray(self._devices.shard(a[:, start : start + most])) for a in arrays]
            carry, sums = _piece(self._definition, measure, params, carry, *piece, share=share)
            total = total + np.asarray(sums, np.float64)  # a million f32 terms would drift
            go_on()
        return carry, total
