"""Prometheus's text format of what `status` tells, version 0.0.4: pure, without a socket.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from charrepl_daemon.metrics.counters import BOUNDS, STAGES, STEPS_AN_OCTAVE, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, Mapping[str, str], float]  # suffix of the name, labels, value


def text(status: Mapping[str, Any], stages: Mapping[str, Snapshot]) -> str:
    """Every metric of a daemon: `status` as `Status.tell` gives it, and its histograms."""
    faults = status["faults"]
    began = datetime.datetime.fromisoformat(status["started_at"]).timestamp()
    device = {"version": status["version"], "device": status["device"]}
    lines = [
        _one("charrepl_info", "gauge", "What runs; always 1.", 1, device),
        _one("charrepl_start_time_seconds", "gauge", "When the daemon was started, since the epoch.", began),
        _one("charrepl_ready", "gauge", "Whether a model is ready to answer.", int(status["ready"])),
        _one("charrepl_active_sessions", "gauge",
             f"Sessions with a key in the last {status['active_s']:.0f} s, or a request unanswered.",
             status["active"]),
        _one("charrepl_waiting_requests", "gauge", "Requests not answered yet.", status["waiting"]),
        _family("charrepl_requests_total", "counter", "Requests taken, by type.",
                [("", {"type": kind}, n) for kind, n in status["requests_by_type"].items()]),
        _one("charrepl_superseded_requests_total", "counter",
             "Requests that a newer one of their session replaced.", status["superseded"]),
        _one("charrepl_abandoned_requests_total", "counter",
             "Requests whose client left before the answer.", status["abandoned"]),
        _one("charrepl_refused_requests_total", "counter",
             "Requests refused because too many waited.", status["refused"]),
        _one("charrepl_failed_requests_total", "counter",
             "Requests that were answered with an error.", status["failed"]),
        _one("charrepl_serving_compiles_total", "counter", "Programs compiled while writers waited.",
             status["compiles_while_serving"]),
        _one("charrepl_malformed_frames_total", "counter", "Frames that were no request.",
             faults["malformed"]),
        _one("charrepl_clients_let_go_total", "counter", "Clients let go: they left, or read nothing.",
             faults["clients_let_go"]),
        _one("charrepl_connections_closed_total", "counter", "Times all connections were closed: too many.",
             faults["connections_closed"]),
        _one("charrepl_device_failures_total", "counter", "Calls on the device that failed.",
             faults["device_failures"]),
        _one("charrepl_model_load_failures_total", "counter", "Models that could not be loaded.",
             faults["load_failures"]),
        *_models(status["models"]),
        *(_histogram(f"charrepl_ghost_{stage}_seconds", f"Time of a ghost {STAGES[stage]}.", found)
          for stage, found in stages.items()),
    ]  # fmt: skip
    return "".join(lines)


# Of each model: the key in its stats, the metric, its type, and what it is.
_OF_A_MODEL = (
    ("sessions", "charrepl_model_sessions", "gauge", "Sessions with carries in the cache."),
    ("carries", "charrepl_model_carries", "gauge", "Carries in the cache."),
    ("carry_slots", "charrepl_model_carry_slots", "gauge", "Carries the cache can hold."),
    ("characters_from_cache", "charrepl_model_cached_characters_total", "counter",
     "Characters whose carry was found in the cache."),
    ("characters_read", "charrepl_model_read_characters_total", "counter",
     "Characters that the model had to read."),
    ("evictions", "charrepl_model_evictions_total", "counter", "Carries that made way for others."),
    ("rows_at_once", "charrepl_model_rows_at_once", "gauge", "Writers that one call can serve."),
    ("device_calls", "charrepl_model_device_calls_total", "counter",
     "Calls that read or wrote text on the device."),
    ("device_calls_ahead", "charrepl_model_device_calls_ahead_total", "counter",
     "Of them, those made before anybody asked."),
    ("characters_ahead", "charrepl_model_characters_ahead_total", "counter",
     "Characters written before anybody asked."),
    ("answered_ahead", "charrepl_model_answered_ahead_total", "counter",
     "Ghosts that were known when they were asked for."),
)  # fmt: skip


def _models(models: list[dict[str, Any]]) -> Iterable[str]:
    names = Counter(model["name"] for model in models)
    # Two directories of one name need two series.
    labels = [model["name"] if names[model["name"]] == 1 else model["path"] for model in models]
    for key, metric, kind, what in _OF_A_MODEL:
        found: list[Sample] = [
            ("", {"model": label}, model[key])
            for label, model in zip(labels, models, strict=True)
            if key in model
        ]
        if found:
            yield _family(metric, kind, what, found)


def _histogram(name: str, what: str, found: Snapshot) -> str:
    samples: list[Sample] = []
    below = 0
    for bucket, (bound, count) in enumerate(zip(BOUNDS, found.counts, strict=False)):
        below += count
        if bucket % STEPS_AN_OCTAVE == 0:  # powers of two are fine enough for a server to keep
            samples.append(("_bucket", {"le": _number(bound)}, below))
    count = sum(found.counts)
    samples += [("_bucket", {"le": "+Inf"}, count), ("_sum", {}, found.total_s), ("_count", {}, count)]
    return _family(name, "histogram", what, samples)


def _one(name: str, kind: str, what: str, value: float, labels: Mapping[str, str] | None = None) -> str:
    return _family(name, kind, what, [("", labels or {}, value)])


def _family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {_escaped(what)}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(label, quote=True)}"' for key, label in labels.items())
        lines.append(f"{name}{suffix}{'{' + pairs + '}' if pairs else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(value: str, *, quote: bool = False) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n")
    return value.replace('"', '\\"') if quote else value


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
