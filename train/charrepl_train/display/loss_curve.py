"""`curve.png` and `curve.svg`: a run in one figure, from its `metrics.jsonl` alone."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrepl.errors import reason
from charrepl.files import whole_file
from charrepl_train.model_directory import metrics_history
from charrepl_train.model_directory.metrics_history import Record

if TYPE_CHECKING:  # matplotlib is an extra
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAINING, _DEV, _HELD_OUT, _RATE = "#0072b2", "#d55e00", "#222222", "#666666"  # Okabe and Ito's, and greys
_BITS = 1.4426950408889634  # in a nat
_FEW = 60  # with at most so many evaluations, each is marked
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the figure is the same everywhere
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "charrepl",  # otherwise every file has different identifiers
}


def save(directory: Path, *, warn: Callable[[str], None]) -> None:
    """Writes both files into a model's directory, if matplotlib is installed and anything was measured.

    If that fails, `warn` gets one line: a missing figure must not end a training.
    """
    records = metrics_history.read(directory)
    if importlib.util.find_spec("matplotlib") is None or not any(r.loss is not None for r in records):
        return
    try:
        with _own_style():
            figure = draw(records)
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
                file = io.BytesIO()
                figure.savefig(file, format=kind, dpi=200, metadata=metadata)
                whole_file.write(directory / f"curve.{kind}", file.getvalue())
    except Exception as error:  # matplotlib, its fonts and its configuration are not ours
        warn(f"No curve was drawn: {reason(error)}")


@contextlib.contextmanager
def _own_style() -> Iterator[None]:
    """Gives matplotlib our settings instead of the user's, and silences its log."""
    logger = logging.getLogger("matplotlib")  # mostly about fonts and caches
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            yield
    finally:
        logger.setLevel(level)


def draw(records: list[Record]) -> Figure:
    """Losses above, the learning rate below, over the same steps."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    _draw_losses(losses, records)
    steps, values = _series(records, "learning_rate")
    rates.plot(
        steps, values, color=_RATE, linewidth=1.2, marker="o" if len(records) <= _FEW else "", markersize=2
    )
    rates.set_ylim(0, 1.15 * max([*values, 1e-12]))
    rates.set_ylabel("learning rate")
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    rates.set_xlabel("step")
    rates.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    rates.set_xlim(left=0)
    figure.align_ylabels()
    return figure


def _draw_losses(axes: Axes, records: list[Record]) -> None:
    marker = "o" if len(records) <= _FEW else ""
    steps, values = _series(records, "loss")
    # Each value is the mean since the one before. Drawn at its last step, it would seem to lag behind the dev
    # loss.
    middles = [(before + step) / 2 for before, step in itertools.pairwise([0, *steps])]
    axes.plot(
        middles, values, color=_TRAINING, linewidth=1.2, marker=marker, markersize=2, label="training loss"
    )
    steps, values = _series(records, "dev_loss")
    if steps:
        best = min(range(len(values)), key=values.__getitem__)
        label = f"dev loss, best {values[best]:.4f} at step {steps[best]:,}"
        axes.plot(steps, values, color=_DEV, linewidth=1.6, marker=marker, markersize=2.5, label=label)
        axes.plot(steps[best], values[best], color=_DEV, marker="o", markersize=5, markerfacecolor="white")
    steps, values = _series(records, "held_out_loss")
    if steps:
        label = f"held-out loss {values[-1]:.4f}"
        style: dict[str, Any] = {
            "color": _HELD_OUT,
            "linewidth": 1.0,
            "linestyle": (0, (4, 2)),
            "label": label,
        }
        axes.plot([0, steps[-1]], [values[-1]] * 2, **style)
    axes.set_ylabel("loss (nats per character)")
    axes.legend(loc="best")
    axes.tick_params(bottom=False)
    bits = axes.secondary_yaxis("right", functions=_times(_BITS))
    bits.set_ylabel("bits per character")
    last = next((r for r in reversed(records) if r.epoch), None)
    if last is not None and last.epoch:
        epochs = axes.secondary_xaxis("top", functions=_times(last.epoch / last.step))
        epochs.set_xlabel("epoch")


def _series(records: list[Record], name: str) -> tuple[list[int], list[float]]:
    """The steps at which a value was measured, and the values."""
    found = [(record.step, getattr(record, name)) for record in records]
    return [step for step, value in found if value is not None], [v for _, v in found if v is not None]


def _times(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The functions that convert between the two axes."""
    return (lambda number: number * factor), (lambda number: number / factor)
