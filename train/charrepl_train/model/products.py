"""How exact the products of f32 arrays are.

A recent GPU rounds their operands to TF32, with 10 bits, unless a program asks for more. Whatever claims to
be exact does. A processor has no TF32, and nothing of this changes its numbers.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Precision = Literal["f32", "tf32", "bf16"]


def dtype(precision: str) -> DTypeLike:
    """What operands of products are rounded to, before they are multiplied."""
    return jnp.bfloat16 if precision == "bf16" else jnp.float32


def in_precision(precision: str) -> AbstractContextManager[object]:
    """Where a program is traced within this, its products of f32 arrays are as exact as that.

    With bf16 they are the fastest that there are: only few are left.
    """
    if precision == "bf16":
        return contextlib.nullcontext()
    return jax.default_matmul_precision("tensorfloat32" if precision == "tf32" else "highest")
