"""A request on its way through the daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path

from charrepl import protocol
from charrepl_daemon.engine import Engine
from charrepl_daemon.writing import Writing

Work = protocol.Complete | protocol.Sample | protocol.Score
Send = Callable[[protocol.Reply], None]


class Job:
    """A request on its way. `send` may be called from any thread, in order.

    `unsent` counts replies that were handed to `send` and have not left yet: a passage waits for a
    reader that is slower than the device.
    """

    def __init__(self, request: Work, *, directory: Path, session: Hashable, send: Send) -> None:
        self.request = request
        self.directory = directory
        self.session = session
        self.send = send
        self.received = time.perf_counter()
        self.cancelled = False
        self.engine: Engine | None = None
        self.writings: list[Writing] = []
        self.sent = [0]  # characters of each writing that were sent
        self.scored = 0
        self.carry = b""
        self.log_probs: list[float] = []
        self.taken_up: float | None = None
        self.first_piece = False
        self.unsent = 0
        self._counting = threading.Lock()

    def count_unsent(self, change: int) -> int:
        """Adds to `unsent`, which two threads do; returns it."""
        with self._counting:
            self.unsent += change
            return self.unsent

    @property
    def is_ghost(self) -> bool:
        """Whether somebody is waiting for it with a finger on a key."""
        return isinstance(self.request, protocol.Complete)
