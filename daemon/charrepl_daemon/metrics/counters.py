"""What is counted and timed: how often, how long, what went wrong; never what was typed."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from charrepl_daemon.process.failures import Failure, stamp

# What is timed of every ghost, in the order in which it happens.
STAGES = {
    "queue": "from a request's arrival until the device takes it up",
    "advance": "from there until what was typed is read; the same call decodes the first piece",
    "first_piece": "from the arrival until the first piece of the ghost",
    "full_ghost": "from the arrival until the last piece",
}
PERCENTILES = (50, 90, 99)
STEPS_AN_OCTAVE = 4
# Upper bounds of the buckets, in seconds, each 2 ** (1 / 4) times the one before: 61 us to 64 s.
BOUNDS = tuple(math.exp2(n / STEPS_AN_OCTAVE) for n in range(-14 * STEPS_AN_OCTAVE, 6 * STEPS_AN_OCTAVE + 1))
_GENERATION = 1024
RECENT = f"the last {_GENERATION:,} to {2 * _GENERATION - 1:,} ghosts"
_MOST_FAILURES = 16


def percentile(counts: Sequence[int], percent: float) -> float | None:
    """The latency in seconds below which `percent` of those counted lie, off by 19 % at most.

    `counts` has one number a bucket, the last for what is above all bounds; None if all are 0.
    """
    total = sum(counts)
    if not total:
        return None
    rank = max(1, math.ceil(total * percent / 100))
    below = 0
    bucket = 0
    for bucket, count in enumerate(counts):  # noqa: B007  (it is where the loop ended)
        if below + count >= rank:
            break
        below += count
    if bucket == len(BOUNDS):
        return BOUNDS[-1]
    # Between the bounds, as if those in it lay evenly on the logarithmic scale.
    into = (rank - below) / counts[bucket]
    return BOUNDS[bucket] * math.exp2((into - 1) / STEPS_AN_OCTAVE)


class Snapshot(NamedTuple):
    """A histogram at one moment: all since the start, with `counts` a bucket, and `recent` ones."""

    counts: list[int]
    total_s: float
    recent: list[int]


class Histogram:
    """Latencies in fixed buckets. Any thread may add to it and read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total_s = 0.0
        # Percentiles tell how it is now: of this generation and the one before.
        self._before = [0] * len(self._counts)
        self._now = [0] * len(self._counts)
        self._left = _GENERATION

    def observe(self, seconds: float) -> None:
        """Counts one latency."""
        bucket = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._counts[bucket] += 1
            self._total_s += seconds
            self._now[bucket] += 1
            self._left -= 1
            if not self._left:
                self._before, self._now = self._now, [0] * len(self._counts)
                self._left = _GENERATION

    def snapshot(self) -> Snapshot:
        """All of it, as of one moment."""
        with self._lock:
            recent = [a + b for a, b in zip(self._before, self._now, strict=True)]
            return Snapshot(list(self._counts), self._total_s, recent)

    def summary(self) -> dict[str, float]:
        """`count` since the start, and the percentiles in ms of `RECENT`, as `p50`, if any."""
        counts, _, recent = self.snapshot()
        found = {f"p{p}": percentile(recent, p) for p in PERCENTILES}
        times = {name: round(1000 * at, 3) for name, at in found.items() if at is not None}
        return {"count": sum(counts), **times}


class Writers:
    """Who typed in the last `kept_s` seconds: sessions, each a connection's."""

    def __init__(self, kept_s: float) -> None:
        self.kept_s = kept_s
        self._seen: OrderedDict[tuple[Hashable, str], float] = OrderedDict()

    def typed(self, connection: Hashable, session: str, now: float) -> None:
        """Takes note of a key in a session at `now`, in seconds of any clock."""
        self._seen[connection, session] = now
        self._seen.move_to_end((connection, session))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._seen and next(iter(self._seen.values())) <= now - self.kept_s:
            self._seen.popitem(last=False)

    def besides(self, connection: Hashable, now: float) -> list[tuple[Hashable, str]]:
        """The sessions of other connections in which a key was typed lately."""
        self._forget(now)
        return [key for key in self._seen if key[0] != connection]


class Metrics:
    """Everything that is counted, since the start of the daemon.

    Each number is changed by one thread, or under the lock of who changes it; any may read it.
    """

    def __init__(self) -> None:
        self.stages = {name: Histogram() for name in STAGES}
        self.requests = {"complete": 0, "sample": 0, "score": 0}
        self.superseded = 0
        self.abandoned = 0  # their client has left
        self.refused = 0  # as too many were waiting
        self.failed = 0
        self.malformed = 0
        self.clients_let_go = 0
        self.connections_closed = 0  # how often all of a socket's were, as too many were open
        self.stops = 0  # by SIGSTOP, or a suspended terminal, after which it went on
        self.last_continued = ""
        self.device_failures = 0
        self.last_device_failure = ""
        self._lock = threading.Lock()
        self._not_loaded: OrderedDict[str, Failure] = OrderedDict()
        self.load_failures = 0

    def device_failed(self, why: str) -> None:
        """Takes note that a call on the device failed."""
        self.device_failures += 1
        self.last_device_failure = f"{stamp()}: {why}"

    def was_continued(self) -> None:
        """Takes note that the process had been stopped, and goes on."""
        self.stops += 1
        self.last_continued = stamp()

    def model_failed(self, path: str, why: str) -> None:
        """Takes note that a model could not be loaded."""
        with self._lock:
            self.load_failures += 1
            self._not_loaded[path] = Failure(path, why, stamp())
            self._not_loaded.move_to_end(path)
            while len(self._not_loaded) > _MOST_FAILURES:
                self._not_loaded.popitem(last=False)

    def model_loaded(self, path: str) -> None:
        """Takes note that a model was loaded: what was wrong with it before is over."""
        with self._lock:
            self._not_loaded.pop(path, None)

    def not_loaded(self) -> list[Failure]:
        """The models whose last load failed, the latest last."""
        with self._lock:
            return list(self._not_loaded.values())

    def report(self) -> dict[str, Any]:
        """What `status --json` tells of it."""
        return {
            "requests": sum(self.requests.values()),
            "requests_by_type": dict(self.requests),
            "superseded": self.superseded,
            "abandoned": self.abandoned,
            "refused": self.refused,
            "failed": self.failed,
            "latency_ms": {name: stage.summary() for name, stage in self.stages.items()},
            "latency_of": RECENT,
            "faults": {
                "device_failures": self.device_failures,
                "last_device_failure": self.last_device_failure,
                "malformed": self.malformed,
                "clients_let_go": self.clients_let_go,
                "connections_closed": self.connections_closed,
                "stops": self.stops,
                "last_continued": self.last_continued,
                "load_failures": self.load_failures,
                "not_loaded": [failure._asdict() for failure in self.not_loaded()],
            },
        }
