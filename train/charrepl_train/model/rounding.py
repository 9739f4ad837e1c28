"""f32 arrays rounded to bf16 and back, by integer arithmetic.

XLA's own conversion to bf16 takes twice as long on a CPU, and updating a bf16 array in place within a loop
takes longer than updating an f32 one. So what a scan keeps in bf16 is kept as bits, in uint16.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def rounded(values: jax.Array, dtype: DTypeLike) -> jax.Array:
    """`values.astype(dtype)`, to the bit, but for what a NaN has in it: to the nearest, ties to even."""
    if dtype != jnp.bfloat16 or values.dtype != jnp.float32:
        return values.astype(dtype)
    return jax.lax.bitcast_convert_type(_bits(values), jnp.bfloat16)


def kept(values: jax.Array, dtype: DTypeLike) -> jax.Array:
    """f32 `values` as a scan keeps them: bits of bf16, uint16, if products are of bf16, else as they are."""
    return _bits(values) if dtype == jnp.bfloat16 else values


def operand(values: jax.Array) -> jax.Array:
    """What `kept` gave, for a product: bf16, or f32."""
    return jax.lax.bitcast_convert_type(values, jnp.bfloat16) if values.dtype == jnp.uint16 else values


def restored(values: jax.Array) -> jax.Array:
    """f32 of what `kept` gave."""
    if values.dtype != jnp.uint16:
        return values
    return jax.lax.bitcast_convert_type(values.astype(jnp.uint32) << 16, jnp.float32)


def _bits(values: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(values, jnp.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # A GPU's NaN is of ones alone, and the sum would make a zero of it.
    return jnp.where(jnp.isnan(values), 0x7FC0, nearest).astype(jnp.uint16)
