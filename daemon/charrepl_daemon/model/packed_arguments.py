"""Many small arrays as one, for a call on the device: handing over one takes as long as all in one."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Fields = TypeVar("Fields")


class Packing(Generic[Fields]):
    """How the fields of some rows lie side by side in one array, int32 [B, all of them].

    blank: a row that nobody has filled in, as a tree of arrays [1, ...], of booleans or numbers of 32 bits.
    """

    def __init__(self, blank: Fields) -> None:
        leaves, self._tree = jax.tree.flatten(blank)
        self._kinds = [np.dtype(leaf.dtype) for leaf in leaves]
        self._shapes = [leaf.shape[1:] for leaf in leaves]
        ends = np.cumsum([math.prod(shape) for shape in self._shapes]).tolist()
        self._places = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        self._blank = np.empty((1, ends[-1]), np.int32)
        for place, leaf in zip(self._places, leaves, strict=True):
            bits = leaf.astype(np.int32) if leaf.dtype == np.bool_ else leaf.view(np.int32)
            self._blank[:, place] = bits.reshape(1, -1)

    def blank(self, batch: int) -> NDArray[np.int32]:
        """So many rows that nobody has filled in."""
        return self._blank.repeat(batch, axis=0)

    def fields(self, packed: NDArray[np.int32]) -> Fields:
        """The fields in an array, to be read and filled in there; what is boolean is 0 or 1."""
        return self._of(
            [
                packed[:, place].view(np.int32 if kind == np.bool_ else kind).reshape(-1, *shape)
                for place, kind, shape in zip(self._places, self._kinds, self._shapes, strict=True)
            ]
        )

    def unpacked(self, packed: jax.Array) -> Fields:
        """The fields in an array, in a program."""

        def field(place: slice, kind: np.dtype[Any], shape: tuple[int, ...]) -> jax.Array:
            bits = packed[:, place].reshape(-1, *shape)
            return bits != 0 if kind == np.bool_ else jax.lax.bitcast_convert_type(bits, kind)

        return self._of(list(map(field, self._places, self._kinds, self._shapes)))

    def packed(self, fields: Fields) -> jax.Array:
        """The array that has these fields, in a program."""

        def bits(leaf: jax.Array) -> jax.Array:
            number = leaf.astype(jnp.int32) if leaf.dtype == np.bool_ else leaf
            return jax.lax.bitcast_convert_type(number, jnp.int32).reshape(len(leaf), -1)

        return jnp.concatenate(list(map(bits, jax.tree.leaves(fields))), axis=1)

    def _of(self, leaves: list[Any]) -> Fields:
        fields: Fields = jax.tree.unflatten(self._tree, leaves)
        return fields
