"""Rounding to bf16 by integers, against XLA's own conversion, bit by bit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl_train.model import bf16_bits

# Zero, one, the least and largest of both kinds, halves between two bf16 (to even, down and up), infinity.
CORNERS = [0.0, 1.0, 1e-45, 1.1754944e-38, 3.3895314e38, 3.4028235e38, 1.00390625, 1.01171875, np.inf]


def numbers() -> jax.Array:
    """f32 of every size, and the corners, both signs."""
    seed = 20261130
    print(f"seed {seed}")
    bits = np.random.default_rng(seed).integers(0, 2**32, 200_000, dtype=np.uint32)
    drawn = bits.view(np.float32)
    corners = np.array(CORNERS, np.float32)
    return jnp.asarray(np.concatenate([drawn[np.isfinite(drawn)], corners, -corners]))


def bits(values: jax.Array) -> np.ndarray:
    return np.asarray(values).view(np.uint16)


# By 0 / 0 on a processor and on an NVIDIA GPU, with the other sign, and the least one.
@pytest.mark.parametrize("pattern", [0x7FC00000, 0x7FFFFFFF, 0xFFC00000, 0xFFFFFFFF, 0x7F800001])
def test_what_is_no_number_stays_none(pattern: int) -> None:
    nan = jnp.asarray(np.array([pattern], np.uint32).view(np.float32))
    assert jnp.isnan(nan).all()
    assert jnp.isnan(bf16_bits.operand(bf16_bits.kept(nan, jnp.bfloat16))).all()
    assert jnp.isnan(bf16_bits.restored(bf16_bits.kept(nan, jnp.bfloat16))).all()


def test_what_is_kept_is_what_xla_rounds_to() -> None:
    values = numbers()
    kept = bf16_bits.kept(values, jnp.bfloat16)
    assert kept.dtype == jnp.uint16
    np.testing.assert_array_equal(bits(bf16_bits.operand(kept)), bits(values.astype(jnp.bfloat16)))
    restored = bf16_bits.restored(kept)
    assert restored.dtype == jnp.float32
    np.testing.assert_array_equal(restored, values.astype(jnp.bfloat16).astype(jnp.float32))


def test_with_products_of_f32_nothing_is_rounded() -> None:
    values = numbers()
    kept = bf16_bits.kept(values, jnp.float32)
    for same in (bf16_bits.operand(kept), bf16_bits.restored(kept)):
        np.testing.assert_array_equal(same, values)
