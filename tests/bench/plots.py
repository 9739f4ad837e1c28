"""The plots of `docs/benchmarks.md`: the same bytes for the same rows, readable on light and dark."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.bench.results import PERCENTILES, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0f8fd6", "#e0701b", "#17a57b", "#c867a5")  # Okabe and Ito's, for either background
GREY = "#808890"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure everywhere
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "svg.fonttype": "none",
    "svg.hashsalt": "charrepl",  # else every file has other identifiers
}


class Plot(NamedTuple):
    """What a plot shows, for who does not see it, and how it is drawn."""

    says: str
    draw: Callable[[Axes, Sequence[Row]], None]


def latencies(axes: Axes, rows: Sequence[Row]) -> None:
    """Percentiles of each way to a ghost, as it is served best."""
    shown = [row for row in rows if row["precision"] == rows[-1]["precision"]]
    for number, row in enumerate(shown):
        points = [(f"{p}", row[f"p{p}_ms"]) for p in PERCENTILES if f"p{p}_ms" in row]
        names, values = zip(*points, strict=True)
        label = f"{row['key_to']}, {row['way']}"
        axes.plot(names, values, marker="o", markersize=3, color=COLOURS[number], label=label)
    axes.set(xlabel="percentile", ylabel="ms from the key", ylim=(0, None))


def saved(axes: Axes, rows: Sequence[Row]) -> None:
    """Keys saved, by assertiveness, of each kind of suggestion."""
    kinds = dict.fromkeys(row["suggestions"] for row in rows)
    for number, kind in enumerate(kinds):
        levels = [row for row in rows if row["suggestions"] == kind]
        axes.plot(
            [row["assertiveness"] for row in levels],
            [row["saved_percent"] for row in levels],
            marker="o",
            color=COLOURS[number],
            label=kind,
        )
    axes.set(ylabel="keys saved, %", ylim=(0, None))


def writing(axes: Axes, rows: Sequence[Row]) -> None:
    """The 99th percentile by the number of writers."""
    for number, precision in enumerate(dict.fromkeys(row["precision"] for row in rows)):
        points = [(row["writers"], row["p99_ms"]) for row in rows if row["precision"] == precision]
        axes.plot(*zip(*points, strict=True), marker="o", color=COLOURS[number], label=precision)
    axes.set(xlabel="writers", ylabel="p99, ms to the first piece", ylim=(0, None), xlim=(0, None))


def training(axes: Axes, rows: Sequence[Row]) -> None:
    """Characters a second beside PyTorch's."""
    places = range(len(rows))
    for number, who in enumerate(("charrepl", "pytorch")):
        heights = [row[f"{who}_characters_per_s"] for row in rows]
        at = [place + 0.4 * number - 0.2 for place in places]
        axes.bar(at, heights, width=0.36, color=COLOURS[number], label=who)
    names = [f"{row['precision']}\n{row['batch']} x {row['sequence']}" for row in rows]
    axes.set_xticks(list(places), names)
    axes.set_ylabel("characters/s")


PLOTS = {
    "ghost": Plot("Latency of ghosts by percentile", latencies),
    "keys_saved": Plot("Keys saved by assertiveness, of ghosts and of the baselines", saved),
    "writers": Plot("The 99th percentile by the number of writers", writing),
    "train_speed": Plot("Training speed beside PyTorch", training),
}


def digest(rows: Sequence[Row]) -> str:
    """What a plot says of the rows that it shows."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def save(name: str, rows: Sequence[Row], path: Path, *, kind: str = "svg") -> None:
    """Draws rows into a file."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        PLOTS[name].draw(axes, rows)
        axes.legend()
        file = io.BytesIO()
        told = {"Date": None, "Creator": None, "Description": digest(rows)} if kind == "svg" else None
        figure.savefig(file, format=kind, transparent=True, metadata=told)
    path.write_bytes(file.getvalue())
