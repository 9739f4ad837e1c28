"""The store of carries on the device, [slots, layers, 2, features]: what its first slots are for."""

from __future__ import annotations

ZERO_SLOT = 0  # the carry before any text; never written
SCRATCH_SLOT = 1  # takes the writes that nobody keeps
RESERVED_SLOTS = 2
SPARSE = 32  # a writer keeps at least one carry in so many characters: what a jump recomputes at most
