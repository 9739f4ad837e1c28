"""Every number that a daemon tells of itself, declared once.

From here follow what is counted, where `status` has it, the report's lines and columns, and what Prometheus
reads. A new number is one declaration, and `Metrics.count` where it happens, or its value in the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ACTIVE_S = 10.0  # after its last key, a writer counts as typing


@dataclass(frozen=True, eq=False)
class Metric:
    """A number of a daemon or of a model, and how it is told."""

    key: str  # where it is in the status or in a model's part of it, with a dot between levels
    prometheus: str  # its name there; what only grows ends in `_total`
    what: str
    labels: Mapping[str, str] = field(default_factory=dict)  # tell apart numbers of one name
    line: str = ""  # what the report says of it unless it is 0: of {count} and {last}
    last: str = ""  # the key of when it happened last, and why
    heading: str = ""  # of its column in the report's table of models

    def value(self, told: Mapping[str, Any], default: Any = 0) -> Any:
        """Its value in a status, or in a model's part of one; `default` if an older daemon has none."""
        return find(told, self.key, default)


def find(told: Mapping[str, Any], key: str, default: Any) -> Any:
    """What is at a key with dots; `default` if nothing is."""
    *levels, name = key.split(".")
    for level in levels:
        told = told.get(level, {})
    return told.get(name, default)


def put(told: dict[str, Any], key: str, value: Any) -> None:
    """Puts it at a key with dots."""
    *levels, name = key.split(".")
    for level in levels:
        told = told.setdefault(level, {})
    told[name] = value


REQUESTS = {
    kind: Metric(
        f"requests_by_type.{kind}", "charrepl_requests_total", "Requests taken, by type.", {"type": kind}
    )
    for kind in ("complete", "sample", "score")
}
SUPERSEDED = Metric(
    "superseded", "charrepl_superseded_requests_total", "Requests that a newer one of their session replaced."
)
ABANDONED = Metric(
    "abandoned", "charrepl_abandoned_requests_total", "Requests whose client left before the answer."
)
MALFORMED = Metric(
    "faults.malformed",
    "charrepl_malformed_frames_total",
    "Frames that were no request.",
    line="{count:,} frames were no requests",
)
CLIENTS_LET_GO = Metric(
    "faults.clients_let_go",
    "charrepl_clients_let_go_total",
    "Clients let go: they left, or read nothing.",
    line="{count:,} clients left before their answer, or read nothing",
)
CONNECTIONS_CLOSED = Metric(
    "faults.connections_closed",
    "charrepl_connections_closed_total",
    "Times all connections were closed: too many.",
    line="{count:,} times all connections were closed: too many were open",
)
REFUSED = Metric(
    "refused",
    "charrepl_refused_requests_total",
    "Requests refused because too many waited.",
    line="{count:,} requests refused: too many were waiting",
)
FAILED = Metric(
    "failed",
    "charrepl_failed_requests_total",
    "Requests that were answered with an error.",
    line="{count:,} requests answered with an error",
)
DEVICE_FAILURES = Metric(
    "faults.device_failures",
    "charrepl_device_failures_total",
    "Calls on the device that failed.",
    line="{count:,} device failures, the last {last}",
    last="faults.last_device_failure",
)
STOPS = Metric(
    "faults.stops",
    "charrepl_stops_total",  # by SIGSTOP, or a suspended terminal
    "Times the process was stopped by a signal, and went on.",
    line="stopped by a signal {count:,} times, and continued at {last} last",
    last="faults.last_continued",
)
LOAD_FAILURES = Metric(
    "faults.load_failures", "charrepl_model_load_failures_total", "Models that could not be loaded."
)

COUNTED = (  # by `Metrics.count`
    *REQUESTS.values(),
    SUPERSEDED,
    ABANDONED,
    MALFORMED,
    CLIENTS_LET_GO,
    CONNECTIONS_CLOSED,
    REFUSED,
    FAILED,
    DEVICE_FAILURES,
    STOPS,
    LOAD_FAILURES,
)
OF_THE_DAEMON = (
    Metric("ready", "charrepl_ready", "Whether a model is ready to answer."),
    Metric(
        "active",
        "charrepl_active_sessions",
        f"Sessions with a key in the last {ACTIVE_S:.0f} s, or a request unanswered.",
    ),
    Metric("waiting", "charrepl_waiting_requests", "Requests not answered yet."),
    Metric(
        "compiles_while_serving",
        "charrepl_serving_compiles_total",
        "Programs compiled while writers waited.",
        line="{count:,} programs compiled while writers waited",
    ),
    *COUNTED,
)

CHARACTERS_FROM_CACHE = Metric(
    "characters_from_cache",
    "charrepl_model_cached_characters_total",
    "Characters whose carry was found in the cache.",
    heading="from cache",
)
CHARACTERS_READ = Metric(
    "characters_read", "charrepl_model_read_characters_total", "Characters that the model had to read."
)
OF_A_MODEL = (
    Metric("sessions", "charrepl_model_sessions", "Sessions with carries in the cache.", heading="sessions"),
    Metric("carries", "charrepl_model_carries", "Carries in the cache.", heading="carries"),
    Metric("carry_slots", "charrepl_model_carry_slots", "Carries the cache can hold.", heading="of"),
    CHARACTERS_FROM_CACHE,
    CHARACTERS_READ,
    Metric("evictions", "charrepl_model_evictions_total", "Carries that made way for others.",
           heading="evicted"),
    Metric("rows_at_once", "charrepl_model_rows_at_once", "Writers that one call can serve."),
    Metric("device_calls", "charrepl_model_device_calls_total",
           "Calls that read or wrote text on the device."),
    Metric("device_calls_ahead", "charrepl_model_device_calls_ahead_total",
           "Of them, those made before anybody asked."),
    Metric("characters_ahead", "charrepl_model_characters_ahead_total",
           "Characters written before anybody asked."),
    Metric("answered_ahead", "charrepl_model_answered_ahead_total",
           "Ghosts that were known when they were asked for.", heading="ahead"),
)  # fmt: skip


class Stage(NamedTuple):
    """What is timed of every ghost: its line in the report, and what it is."""

    title: str
    what: str


# By key in the status's `latency_ms`, in the order of time; charrepl_ghost_KEY_seconds for Prometheus.
STAGES = {
    "queue": Stage("waiting for its turn", "from a request's arrival until the device takes it up"),
    "advance": Stage("reading, first piece",
        "from there until what was typed is read; the same call decodes the first piece"),
    "first_piece": Stage("key to first piece", "from the arrival until the first piece of the ghost"),
    "full_ghost": Stage("key to whole ghost", "from the arrival until the last piece"),
}  # fmt: skip
