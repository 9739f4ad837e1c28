"""What a person sees while a model trains."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charrepl.safe import printable
from charrepl_train.loop import UNDECIDED, Metrics, Tick

_REVEALED = 12  # characters of the sample that appear at each tick


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
    """Progress on a terminal, or plain lines where the output is not one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._tick: Tick | None = None
        self._dev_loss: float | None = None
        self._sample = ""
        self._shown = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tick(self, tick: Tick) -> None:
        """Redraws the bar and reveals some more of the sample."""
        self._tick = tick
        self._shown += _REVEALED
        if self._console.is_terminal:
            self._live.update(self._draw(tick), refresh=True)

    def metrics(self, metrics: Metrics) -> None:
        """Prints an evaluation above the bar; the sample too, where there is no bar to hold it."""
        self._console.print(line(metrics), soft_wrap=True)
        self._dev_loss = metrics.dev_loss if metrics.dev_loss is not None else self._dev_loss
        if metrics.sample is not None:
            self._sample, self._shown = printable(metrics.sample), 0  # a corpus may hold escape sequences
            if not self._console.is_terminal:
                self._console.print(Text(self._sample + "\n"), soft_wrap=True)

    def _draw(self, tick: Tick) -> RenderableType:
        decided = tick.total < UNDECIDED
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            ProgressBar(total=tick.total if decided else None, completed=tick.step, width=24),
            f"step {tick.step:,}" + (f" of {tick.total:,}" if decided else ""),
            f"loss {tick.loss:.3f}",
            f"dev loss {self._dev_loss:.3f}" if self._dev_loss is not None else "",
            f"{tick.characters_per_s:,.0f} characters/s",
            f"{duration(tick.left_s)} left" if decided else "",
        )
        if not self._sample:
            return grid
        return Group(
            grid, Panel(Text(self._sample[: self._shown], style="dim italic"), title="sample", height=12)
        )
