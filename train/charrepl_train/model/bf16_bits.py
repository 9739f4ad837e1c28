"""f32 arrays as bits of bf16 and back, by integer arithmetic.

On a CPU, XLA updates a bf16 array in place within a loop more slowly than an f32 one, and its own conversion
takes twice as long. So what a scan keeps in bf16 is kept as bits, in uint16. Elsewhere `astype` is as fast,
and XLA knows what to do with it: of products of small matrices, it turns those of bf16 into f32, and misses
operands whose bits were made by hand and then transposed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def kept(values: jax.Array, dtype: DTypeLike) -> jax.Array:
    """f32 `values` as a scan keeps them: bits of bf16, uint16, if products are of bf16, else as they are.

    Rounded as `astype` does, to the nearest and ties to even.
    """
    if dtype != jnp.bfloat16:
        return values
    bits = jax.lax.bitcast_convert_type(values, jnp.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # A GPU's NaN is of ones alone, and the sum would make a zero of it.
    return jnp.where(jnp.isnan(values), 0x7FC0, nearest).astype(jnp.uint16)


def operand(values: jax.Array) -> jax.Array:
    """What `kept` gave, for a product: bf16, or f32."""
    return jax.lax.bitcast_convert_type(values, jnp.bfloat16) if values.dtype == jnp.uint16 else values


def restored(values: jax.Array) -> jax.Array:
    """f32 of what `kept` gave."""
    if values.dtype != jnp.uint16:
        return values
    return jax.lax.bitcast_convert_type(values.astype(jnp.uint32) << 16, jnp.float32)
