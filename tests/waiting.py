"""Waiting for what another process or thread does, for as long as a busy machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE_S = 60  # longer than anything here takes: a test waits for what it expects, not for this

Found = TypeVar("Found")


def until(look: Callable[[], Found]) -> Found:
    """What `look` finds, once it finds something: for what no event tells of."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
