"""What a daemon says of itself, as lines for a person: for `status` and `top`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import wcwidth

from charrepl.suggestions import keys_saved
from charrepl.text.control_characters import visible
from charrepl_daemon.metrics.declarations import (
    CHARACTERS_FROM_CACHE,
    CHARACTERS_READ,
    OF_A_MODEL,
    OF_THE_DAEMON,
    STAGES,
    Metric,
    find,
)
from charrepl_daemon.process.status_file import Predecessor

Status = Mapping[str, Any]


def lines(status: Status) -> Iterator[str]:
    """The report, line by line."""
    yield headline(status)
    yield activity(status)
    yield f"listening on {visible(status['endpoint'])}"
    if status.get("data_dir"):  # guests are not told it, and older daemons do not tell it
        yield f"models in {visible(status['data_dir'])}"
    if network := status.get("network"):
        guests = f"{network['allowed']} allowed, {network['refused']} refused"
        yield f"listening on {network['endpoint']}: {guests}"
    if status.get("metrics_url"):
        yield f"metrics at {status['metrics_url']}"
    yield ""
    yield from table(latency(status))
    yield ""
    yield from table(models(status))
    if line := saved(status):
        yield ""
        yield line
    found = list(faults(status))
    if found:
        yield ""
        yield from found


def saved(status: Status) -> str:
    """How many keys were saved in which programs, in one line; empty if none were, or it is not known."""
    said = keys_saved.in_words(status.get("keys_saved", {}))
    return f"keys saved: {said}" if said else ""


def headline(status: Status) -> str:
    """Which daemon it is."""
    return (
        f"charrepl {status['version']}, pid {status['pid']}, on {visible(status['device'])}, "
        f"up {duration(status['uptime_s'])}"
    )


def activity(status: Status, rate: float | None = None) -> str:
    """How busy it is; `rate` in requests a second."""
    by_type = status["requests_by_type"]
    parts = [
        f"{_count(status['active'], 'session')} at work",
        f"{_count(status['sessions'], 'session')} in the cache",
        f"{status['waiting']:,} waiting",
        f"{_count(status['requests'], 'request')}"
        + (
            f" ({_count(by_type['sample'], 'passage')}, {_count(by_type['score'], 'score')})"
            if rate is None
            else ""
        ),
    ]
    return ", ".join(parts if rate is None else [*parts, f"{rate:.1f} a second"])


def latency(status: Status) -> list[list[str]]:
    """A table of the stages of a ghost."""
    rows = [["ghosts, ms", "p50", "p90", "p99", "count"]]
    for name, stage in STAGES.items():
        found = status["latency_ms"][name]
        times = [f"{found[p]:.1f}" if p in found else "-" for p in ("p50", "p90", "p99")]
        rows.append([stage.title, *times, f"{found['count']:,}"])
    return rows


def models(status: Status) -> list[list[str]]:
    """A table of the models in memory."""
    columns = [metric for metric in OF_A_MODEL if metric.heading]
    rows = [["model", "in", *(metric.heading for metric in columns)]]
    for model in status["models"]:
        name = f"{visible(model['name'])} ({model['digest'][:8]})"
        rows.append([name, model["precision"], *(_cell(model, metric) for metric in columns)])
    return rows if status["models"] else [*rows, ["none yet", *["-"] * (len(rows[0]) - 1)]]


def _cell(model: Mapping[str, Any], metric: Metric) -> str:
    count = metric.value(model)
    if metric is not CHARACTERS_FROM_CACHE:
        return f"{count:,}"
    characters = count + CHARACTERS_READ.value(model)
    return f"{100 * count / characters:.0f} %" if characters else "-"


def faults(status: Status) -> Iterator[str]:
    """What went wrong and was survived, a line each."""
    before = status.get("predecessor")
    if before:
        yield f"the daemon before this one: {msgspec.convert(before, Predecessor)}"
    for metric in OF_THE_DAEMON:
        count = metric.value(status)
        if metric.line and count:
            yield metric.line.format(count=count, last=visible(find(status, metric.last, "")))
    for failure in status.get("not_written", ()):
        yield f"not written: {visible(failure['path'])}, {failure['at']}: {visible(failure['reason'])}"
    for failure in status["faults"]["not_loaded"]:
        yield f"not loaded: {visible(failure['path'])}, {failure['at']}: {visible(failure['reason'])}"


def refusal(status: Status) -> str | None:
    """Why not to restart the daemon now; None if nobody is at work with it."""
    active = status["active"]
    if not active:
        return None
    sessions, wait = ("1 session has", "waits") if active == 1 else (f"{active} sessions have", "wait")
    return (
        f"{sessions} typed in the last {status['active_s']:.0f} s, or {wait} for an answer: "
        "try again in a moment, or restart anyway with --force"
    )


def duration(seconds: float) -> str:
    """Such as `3 min 20 s`: the two largest units."""
    left, parts = int(seconds), list[str]()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or parts or size == 1:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Its lines, the first column to the left and the others to the right."""
    widths = [max(wcwidth.width(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join([wcwidth.ljust(row[0], widths[0]), *cells]).rstrip()
