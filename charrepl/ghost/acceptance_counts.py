"""Counts of a session: what became of the ghosts, and how many keys they saved."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# Before so many ghosts were shown, a share of them is noise.
MEANINGFUL = 5
KEPT_LATENCIES = 500


@dataclass(slots=True)
class Tally:
    """Counts of one session."""

    shown: int = 0  # ghosts
    taken: int = 0  # of them, those of which a key took something
    typed: int = 0  # characters, one key each
    accepted: int = 0  # characters taken from ghosts
    keys: int = 0  # that took them
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))

    @property
    def acceptance(self) -> float | None:
        """The share of the ghosts shown of which a key took something; None while that says little."""
        return self.taken / self.shown if self.shown >= MEANINGFUL else None

    @property
    def savings(self) -> float | None:
        """The share of keys that was saved; None before any was needed."""
        characters = self.typed + self.accepted
        return 1 - (self.typed + self.keys) / characters if characters else None

    @property
    def latency_ms(self) -> float | None:
        """From the last request to its first reply."""
        return self.latencies_ms[-1] if self.latencies_ms else None

    def percentile_ms(self, percent: int) -> float:
        """Of the last few hundred latencies, which there must be."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
