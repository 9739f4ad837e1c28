"""What `status` tells in Prometheus's text format, by its own client library: pure, without a socket."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from charrepl_daemon.metrics.counters import BOUNDS, STEPS_AN_OCTAVE, Snapshot
from charrepl_daemon.metrics.declarations import OF_A_MODEL, OF_THE_DAEMON, STAGES

Sample = tuple[Mapping[str, str], float]  # labels, value


class _Daemon(Collector):
    """Every metric of a daemon, as of one moment."""

    def __init__(self, status: Mapping[str, Any], stages: Mapping[str, Snapshot]) -> None:
        self._status = status
        self._stages = stages

    def collect(self) -> Iterable[Metric]:
        """The families, made anew at each call."""
        status = self._status
        about = {"version": status["version"], "device": status["device"]}
        began = datetime.datetime.fromisoformat(status["started_at"]).timestamp()
        yield _family("charrepl_info", "What runs; always 1.", [(about, 1)])
        yield _family(
            "charrepl_start_time_seconds", "When the daemon was started, since the epoch.", [({}, began)]
        )
        for name, metrics in groupby(OF_THE_DAEMON, key=lambda metric: metric.prometheus):
            family = list(metrics)
            yield _family(name, family[0].what, [(metric.labels, metric.value(status)) for metric in family])
        yield from _models(status["models"])
        for stage, found in self._stages.items():
            yield _histogram(
                f"charrepl_ghost_{stage}_seconds", f"Time of a ghost {STAGES[stage].what}.", found
            )


def page(status: Mapping[str, Any], stages: Mapping[str, Snapshot]) -> tuple[str, bytes]:
    """The content type and the text, of `status` as `Status.tell` gives it and the histograms."""
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(_Daemon(status, stages))


def _models(models: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    names = Counter(model["name"] for model in models)
    # Two directories of one name need two series.
    labels = [model["name"] if names[model["name"]] == 1 else model["path"] for model in models]
    for metric in OF_A_MODEL if models else ():
        samples = [
            ({"model": label}, metric.value(model)) for label, model in zip(labels, models, strict=True)
        ]
        yield _family(metric.prometheus, metric.what, samples)


def _family(name: str, what: str, samples: Sequence[Sample]) -> Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, what, labels=list(samples[0][0]))
    for labels, value in samples:
        family.add_metric(list(labels.values()), value)
    return family


def _histogram(name: str, what: str, found: Snapshot) -> Metric:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bucket, (bound, count) in enumerate(zip(BOUNDS, found.counts, strict=False)):
        below += count
        if bucket % STEPS_AN_OCTAVE == 0:  # powers of two are fine enough for a server to keep
            buckets.append((repr(bound), below))
    buckets.append(("+Inf", sum(found.counts)))
    return HistogramMetricFamily(name, what, buckets=buckets, sum_value=found.total_s)
