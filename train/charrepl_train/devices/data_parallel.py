"""One training on several devices. Each has all the weights, and a share of a batch's sequences.

Gradients are summed once per step. So the steps are those of one device with the whole batch, except for the
order of sums. With one device, nothing here changes the computation.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from charrepl_train.text.batching import Steps

AXIS = "batch"
REPLICATED = PartitionSpec()  # on every device

Function = TypeVar("Function", bound=Callable[..., Any])
Tree = TypeVar("Tree")


def all_gather(data: bytes) -> list[bytes]:
    """What each process passed, in order of process. All must have the same length."""
    # Passed as bytes, because jax would round 64-bit numbers.
    gathered = multihost_utils.process_allgather(np.frombuffer(data, np.uint8))
    return [row.tobytes() for row in np.asarray(gathered).reshape(-1, len(data))]


def broadcast(data: bytes) -> bytes:
    """What process 0 passed, returned in every process."""
    size = int.from_bytes(all_gather(len(data).to_bytes(8))[0])
    mine = np.frombuffer(data[:size].ljust(size, b"\0"), np.uint8)  # only process 0's counts
    return np.asarray(multihost_utils.broadcast_one_to_all(mine)).tobytes()


class Share(NamedTuple):
    """How a batch is spread over a mesh: the same number of sequences per device. The last may be padding.

    Hashable, so that it can be a static argument of jax.jit. Use the methods only inside `shard_map`.
    """

    mesh: Mesh
    batch: int  # sequences, without the padding

    @property
    def rows(self) -> int:
        """Sequences per device."""
        return -(-self.batch // self.mesh.size)

    def shard_map(self, function: Function, in_specs: Any, out_specs: Any) -> Function:
        """`function` on each device's share of its arguments."""
        mapped: Function = jax.shard_map(function, mesh=self.mesh, in_specs=in_specs, out_specs=out_specs)
        return mapped

    def first(self) -> jax.Array:
        """The number of this device's first sequence."""
        return jax.lax.axis_index(AXIS) * self.rows

    def varying(self, tree: Tree) -> Tree:
        """`tree` as this device's own, so that what depends on it is not summed automatically."""
        own: Tree = jax.lax.pcast(tree, AXIS, to="varying")
        return own

    def mean(self, values: jax.Array) -> jax.Array:
        """The contribution of this device's values, [time, batch], to the mean over the whole batch."""
        if self.batch % self.mesh.size:
            values = jnp.where(self.first() + jnp.arange(self.rows) < self.batch, values, 0)
        return values.sum() / (len(values) * self.batch)


class Devices:
    """All devices of all processes. `mesh` is None if there is only one."""

    def __init__(self) -> None:
        devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
        here = [n for n, device in enumerate(devices) if device.process_index == jax.process_index()]
        self._here = range(here[0], here[-1] + 1)
        self.mesh: Mesh | None = None
        if len(devices) > 1:
            self.mesh = Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))
            self._replicated = NamedSharding(self.mesh, REPLICATED)
            self._gathered = jax.jit(lambda rows: rows, out_shardings=self._replicated)
        self.alone = jax.process_count() == 1
        self.is_leader = jax.process_index() == 0

    def share(self, batch: int) -> Share | None:
        """How a batch of `batch` sequences is spread; None if it is not."""
        return None if self.mesh is None else Share(self.mesh, batch)

    def rows(self, batch: int) -> range:
        """Which sequences of a batch this process has. Those from `batch` on are padding."""
        share = self.share(batch)
        if share is None:
            return range(batch)
        return range(self._here.start * share.rows, self._here.stop * share.rows)

    def own_rows(self, whole: np.ndarray) -> np.ndarray:
        """The `rows` of an array [batch, ...]. Padding is zeros."""
        rows = self.rows(len(whole))
        own = whole[rows.start : rows.stop]
        return np.pad(own, [(0, len(rows) - len(own))] + [(0, 0)] * (whole.ndim - 1))

    def shard(self, own: np.ndarray, *, axis: int = 0) -> Any:
        """An array spread over all devices along its `axis`, from this process's `rows`."""
        if self.mesh is None:
            return own
        shape = list(own.shape)
        shape[axis] = shape[axis] // len(self._here) * self.mesh.size
        sharding = NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))
        return jax.make_array_from_process_local_data(sharding, own, tuple(shape))

    def shard_steps(self, own: Steps) -> Steps:
        """The input of training steps, spread over all devices, from this process's `rows`."""
        return own._replace(windows=self.shard(own.windows, axis=1), resets=self.shard(own.resets, axis=1))

    def replicate(self, tree: Tree) -> Tree:
        """A tree that is the same in every process, on all devices."""
        if self.mesh is None:
            return tree
        put = functools.partial(jax.make_array_from_process_local_data, self._replicated)
        replicated: Tree = jax.tree.map(lambda leaf: put(np.asarray(leaf)), tree)
        return replicated

    def replicate_leader(self, tree: Tree) -> Tree:
        """The tree of process 0, on all devices."""
        return self.replicate(self.broadcast(tree))

    def local(self, tree: Tree) -> Tree:
        """A tree that is on all devices, copied to one device of this process."""
        if self.mesh is None:
            return tree
        local: Tree = jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
        return local

    def gather(self, rows: jax.Array, batch: int) -> jax.Array:
        """What `shard` spread over all devices, [batch, ...], copied to one device of this process."""
        return rows if self.mesh is None else self.local(self._gathered(rows))[:batch]

    def from_leader(self, own: float) -> float:
        """The number that process 0 passed, returned in every process."""
        return own if self.alone else struct.unpack("d", all_gather(struct.pack("d", own))[0])[0]

    def any(self, here: bool) -> bool:
        """Whether the value is true in any process."""
        return here if self.alone else b"\1" in all_gather(bytes([here]))

    def broadcast(self, tree: Tree) -> Tree:
        """The tree of process 0, returned in each process. The others pass one with the same shapes."""
        if self.alone:
            return tree
        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, tree))
        sent = broadcast(b"".join(leaf.tobytes() for leaf in leaves))
        starts = np.cumsum([0] + [leaf.nbytes for leaf in leaves]).tolist()
        led: Tree = jax.tree.unflatten(
            structure,
            [
                np.frombuffer(sent, leaf.dtype, leaf.size, start).reshape(leaf.shape)
                for leaf, start in zip(leaves, starts[:-1], strict=True)
            ],
        )
        return led
