"""What is packed comes out as it was, to the bit, on either side of a call."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from charrepl_daemon.model.packed_arguments import Packing


class Inner(NamedTuple):
    square: Any  # f32 [B, 2, 2]


class Row(NamedTuple):
    count: Any  # int32 [B]
    seed: Any  # uint32 [B]
    odds: Any  # f32 [B, 3]
    ends: Any  # bool [B, 5]
    seen: Any  # bool [B]
    inner: Inner


def row(batch: int = 1) -> Row:
    return Row(
        count=np.full(batch, -1, np.int32),
        seed=np.zeros(batch, np.uint32),
        odds=np.full((batch, 3), -np.inf, np.float32),
        ends=np.zeros((batch, 5), np.bool_),
        seen=np.ones(batch, np.bool_),
        inner=Inner(np.ones((batch, 2, 2), np.float32)),
    )


def same(a: Row, b: Row) -> bool:
    """To the bit: a NaN is itself, and 0 is not -0. What is boolean may be 0 or 1."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(
        np.shape(x) == np.shape(y) and np.asarray(x).astype(y.dtype).tobytes() == y.tobytes()
        for x, y in pairs
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_what_nobody_filled_in_is_blank_on_both_sides(batch: int) -> None:
    packing = Packing(row())
    packed = packing.blank(batch)
    assert same(packing.fields(packed), row(batch))
    assert same(jax.jit(packing.unpacked)(packed), row(batch))


def test_what_is_filled_in_arrives_and_comes_back() -> None:
    packing, batch = Packing(row()), 4
    random = np.random.default_rng(0)
    packed, filled = packing.blank(batch), row(batch)
    for into, beside in zip(jax.tree.leaves(packing.fields(packed)), jax.tree.leaves(filled), strict=True):
        bits = random.integers(0, 2**32, beside.shape, np.uint32)
        # With what is no number, and numbers too small to be normal: all bits count.
        values = bits % 2 == 1 if beside.dtype == np.bool_ else bits.view(beside.dtype)
        into[:] = beside[:] = values
    filled.odds[0] = packing.fields(packed).odds[0] = np.array([np.nan, -0.0, 1e-45], np.float32)
    assert same(jax.jit(packing.unpacked)(packed), filled)
    back = np.asarray(jax.jit(lambda array: packing.packed(packing.unpacked(array)))(packed))
    assert back.tobytes() == packed.tobytes()
    assert same(packing.fields(back), filled)


def test_a_row_is_filled_in_beside_the_others() -> None:
    packing = Packing(row())
    packed = packing.blank(3)
    packing.fields(packed).inner.square[1] = 7
    packing.fields(packed).ends[1, 4] = True
    assert (packed[[0, 2]] == packing.blank(2)).all()
    assert packing.fields(packed).inner.square[1].tolist() == [[7, 7], [7, 7]]
