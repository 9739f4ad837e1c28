"""Counts of a session: how many ghosts were shown and taken, and how many keys they saved."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# A share of fewer shown ghosts than this would be noise.
MEANINGFUL = 5
KEPT_LATENCIES = 500


@dataclass(slots=True)
class Tally:
    """Counts of one session."""

    shown: int = 0  # ghosts
    taken: int = 0  # shown ghosts of which a key took a part
    typed: int = 0  # characters, one key each
    accepted: int = 0  # characters taken from ghosts
    keys: int = 0  # keys that took them
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))

    @property
    def acceptance(self) -> float | None:
        """The share of the shown ghosts of which a key took a part; None while there are too few."""
        return self.taken / self.shown if self.shown >= MEANINGFUL else None

    @property
    def savings(self) -> float | None:
        """The share of keys that were saved; None before the first key."""
        characters = self.typed + self.accepted
        return 1 - (self.typed + self.keys) / characters if characters else None

    @property
    def latency_ms(self) -> float | None:
        """The time from the last request to its first reply."""
        return self.latencies_ms[-1] if self.latencies_ms else None

    def percentile_ms(self, percent: int) -> float:
        """A percentile of the last few hundred latencies. There must be one at least."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
