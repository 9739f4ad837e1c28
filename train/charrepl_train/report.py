"""What a person sees while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charrepl.safe import printable
from charrepl_train import curve
from charrepl_train.history import Record
from charrepl_train.loop import Metrics, Tick
from charrepl_train.plan import UNDECIDED

_REVEALED = 12  # characters of the sample that appear at each tick
_BAR, _SHORTEST_BAR = 24, 6  # characters
_WIDE = 112  # columns from which the sample is beside the curve
_CURVE, _SAMPLE, _LOWEST_SAMPLE = 9, 12, 5  # lines
_ABOVE = 3  # lines of a low terminal that are left to what is printed


def duration(seconds: float) -> str:
    """`52 s`, `3 min 20 s`, `2 h 05 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def line(metrics: Metrics) -> str:
    """One evaluation in one line."""
    parts = [f"epoch {metrics.epoch:.2f}", f"loss {metrics.loss:.4f}", f"accuracy {metrics.accuracy:.2%}"]
    if metrics.dev_loss is not None:
        parts.append(f"dev loss {metrics.dev_loss:.4f}")
    parts += [f"learning rate {metrics.learning_rate:.3g}", f"{metrics.characters_per_s:,.0f} characters/s"]
    return "  ".join(parts)


class Reporter:
    """Progress on a terminal, or plain lines where the output is not one.

    `history` is what was measured before, where a run is resumed: its curve goes on.
    """

    def __init__(self, console: Console, history: Sequence[Record] = ()) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._before = [(r.step, r.loss) for r in history if r.loss is not None]
        self._trace = curve.Trace()
        self._dev = [(r.step, r.dev_loss) for r in history if r.dev_loss is not None]
        self._sample = ""
        self._shown = 0
        self._promised = False

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tick(self, tick: Tick) -> None:
        """Redraws the bar and the curve, and reveals some more of the sample."""
        if tick.total < UNDECIDED:  # steps that are only timed are taken back
            self._trace.add(tick.step, tick.loss)
        self._shown += _REVEALED
        if tick.steady and not self._promised:
            # Once, from a pace that was measured: what a log keeps, and what one can plan by.
            self._promised = True
            speed = f"{tick.characters_per_s:,.0f} characters/s"
            self._console.print(f"About {duration(tick.left_s)} to go, at {speed}.", soft_wrap=True)
        if self._console.is_terminal:
            self._live.update(self._draw(tick), refresh=True)

    def metrics(self, metrics: Metrics) -> None:
        """Prints an evaluation above the bar; the sample too, where there is no bar to hold it."""
        self._console.print(line(metrics), soft_wrap=True)
        if metrics.dev_loss is not None:
            self._dev.append((metrics.step, metrics.dev_loss))
        if metrics.sample is not None:
            self._sample, self._shown = printable(metrics.sample), 0  # a corpus may hold escape sequences
            if not self._console.is_terminal:
                self._console.print(Text(self._sample + "\n"), soft_wrap=True)

    def _draw(self, tick: Tick) -> RenderableType:
        width, height = self._console.size
        beside = bool(self._sample) and width >= _WIDE
        half = (width - 2) // 2
        lines = self._curve(half, _SAMPLE) if beside else self._curve(width, _CURVE)
        # On a low terminal the sample makes room, then the curve: what is printed above stays in sight.
        if height < 1 + _ABOVE + (_SAMPLE if beside else _CURVE + _LOWEST_SAMPLE):
            lines = []
        bar = self._bar(tick, width, dev_loss=not lines)
        chart = Group(*lines)
        if not self._sample:
            return Group(bar, chart)
        room = height - 1 - _ABOVE - (0 if beside else len(lines))
        panel = Panel(
            Text(self._sample[: self._shown], style="dim italic"),
            title="sample",
            height=max(3, min(_SAMPLE, room)),
        )
        if not (beside and lines):
            return Group(bar, chart, panel)
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=half)
        grid.add_column(width=width - half - 2)
        grid.add_row(chart, panel)
        return Group(bar, grid)

    def _curve(self, width: int, height: int) -> list[Text]:
        if self._console.options.ascii_only:
            return []
        losses = [*self._before, *self._trace.points]
        latest = f"dev loss {self._dev[-1][1]:.3f}" if self._dev else ""
        series = (
            curve.Series("training loss", losses, "cyan", dotted=True),
            curve.Series(latest, self._dev, "green"),
        )
        return curve.draw(series, width=width, height=height)

    def _bar(self, tick: Tick, width: int, *, dev_loss: bool) -> RenderableType:
        decided = tick.total < UNDECIDED
        parts = [f"step {tick.step:,}" + (f" of {tick.total:,}" if decided else ""), f"loss {tick.loss:.3f}"]
        if dev_loss and self._dev:
            parts.append(f"dev loss {self._dev[-1][1]:.3f}")
        parts.append(f"{tick.characters_per_s:,.0f} characters/s")
        if decided:
            parts.append(f"{duration(tick.left_s)} left")
        words = Text("  ".join(parts), no_wrap=True, overflow="crop")
        room = min(_BAR, width - len(words) - 2)
        if room < _SHORTEST_BAR:
            return words
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_row(
            ProgressBar(total=tick.total if decided else None, completed=tick.step, width=room), words
        )
        return grid
