"""What is counted and timed: how often, how long, what went wrong; never what was typed."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from charrepl_daemon.metrics.declarations import COUNTED, LOAD_FAILURES, REQUESTS, STAGES, Metric, put
from charrepl_daemon.process.failures import Failure, stamp

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
        """Records a key in a session at `now`, in seconds of any clock."""
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
    """Everything that is counted, since the start of the daemon. Any thread may count and read."""

    def __init__(self) -> None:
        self.stages = {name: Histogram() for name in STAGES}
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(COUNTED, 0)
        self._last: dict[Metric, str] = {}
        self._not_loaded: OrderedDict[str, Failure] = OrderedDict()

    def count(self, metric: Metric, by: int = 1, *, why: str = "") -> None:
        """Counts what has happened: one of `COUNTED`. `why` is told with the time of the last one."""
        with self._lock:
            self._counts[metric] += by
            if metric.last:
                self._last[metric] = f"{stamp()}: {why}" if why else stamp()

    def model_failed(self, path: str, why: str) -> None:
        """Records that a model could not be loaded."""
        self.count(LOAD_FAILURES)
        with self._lock:
            self._not_loaded[path] = Failure(path, why, stamp())
            self._not_loaded.move_to_end(path)
            while len(self._not_loaded) > _MOST_FAILURES:
                self._not_loaded.popitem(last=False)

    def model_loaded(self, path: str) -> None:
        """Records that a model was loaded: what was wrong with it before is over."""
        with self._lock:
            self._not_loaded.pop(path, None)

    def not_loaded(self) -> list[Failure]:
        """The models whose last load failed, the latest last."""
        with self._lock:
            return list(self._not_loaded.values())

    def report(self) -> dict[str, Any]:
        """What `status --json` tells of it."""
        told: dict[str, Any] = {
            "requests": sum(self._counts[metric] for metric in REQUESTS.values()),
            "latency_ms": {name: stage.summary() for name, stage in self.stages.items()},
            "latency_of": RECENT,
            "faults": {"not_loaded": [failure._asdict() for failure in self.not_loaded()]},
        }
        for metric, count in self._counts.items():
            put(told, metric.key, count)
            if metric.last:
                put(told, metric.last, self._last.get(metric, ""))
        return told
