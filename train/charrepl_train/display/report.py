"""What a person sees while a model trains."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from charrepl.terminal.progress import Display, bar, duration
from charrepl.text import graphemes
from charrepl.text.control_characters import printable
from charrepl_train.display import text_chart
from charrepl_train.model_directory.metrics_history import Record
from charrepl_train.model_directory.records import Metrics, StepReport
from charrepl_train.run.evaluation_schedule import UNDECIDED

_REVEALED = 12  # characters of the sample that appear at each tick
_WIDE = 112  # with so many columns, the sample is beside the curve
_CURVE, _SAMPLE, _LOWEST_SAMPLE = 9, 12, 5  # lines
_ABOVE = 3  # lines of a low terminal that stay free for printed lines


def line(metrics: Metrics) -> str:
    """One evaluation in one line."""
    parts = [f"epoch {metrics.epoch:.2f}", f"loss {metrics.loss:.4f}", f"accuracy {metrics.accuracy:.2%}"]
    if metrics.dev_loss is not None:
        parts.append(f"dev loss {metrics.dev_loss:.4f}")
    parts += [f"learning rate {metrics.learning_rate:.3g}", f"{metrics.characters_per_s:,.0f} characters/s"]
    return "  ".join(parts)


def status(tick: StepReport, *, dev_loss: float | None = None) -> str:
    """A run's progress in one line, and the time left if steps were timed for long enough."""
    decided = tick.total < UNDECIDED
    parts = [f"step {tick.step:,}" + (f" of {tick.total:,}" if decided else ""), f"loss {tick.loss:.3f}"]
    if dev_loss is not None:
        parts.append(f"dev loss {dev_loss:.3f}")
    if tick.steady:
        parts.append(f"{tick.characters_per_s:,.0f} characters/s")
        if decided:
            parts.append(f"{duration(tick.left_s)} left")
    return "  ".join(parts)


class Reporter:
    """Progress on a terminal, or plain lines in a log.

    `history` is what was measured before a run was resumed. The curve continues it.
    """

    def __init__(self, display: Display, history: Sequence[Record] = ()) -> None:
        self._display = display
        self._before = [(r.step, r.loss) for r in history if r.loss is not None]
        self._trace = text_chart.GrowingCurve()
        self._dev = [(r.step, r.dev_loss) for r in history if r.dev_loss is not None]
        self._sample = ""
        self._shown = 0
        self._promised = False

    def tick(self, tick: StepReport) -> None:
        """Redraws the bar and the curve, and reveals some more of the sample."""
        if tick.total < UNDECIDED:  # not for steps that are only timed, because they are taken back
            self._trace.add(tick.step, tick.loss)
        self._shown += _REVEALED
        if self._display.draws:
            self._display.draw(self._draw(tick))
        elif tick.steady and not self._promised:
            self._promised = True  # from a measured pace, so that you can plan with it
            self._display.say(status(tick))
        else:
            self._display.now_and_then(lambda: status(tick))

    def metrics(self, metrics: Metrics) -> None:
        """Prints an evaluation above the bar. Prints the sample too, if there is no bar to show it."""
        self._display.say(line(metrics))
        if metrics.dev_loss is not None:
            self._dev.append((metrics.step, metrics.dev_loss))
        if metrics.sample is not None:
            self._sample, self._shown = printable(metrics.sample), 0  # a corpus may hold escape sequences
            if not self._display.draws:
                self._display.say_lines(self._sample + "\n")

    def reads(self) -> None:
        """Shows that the held-out text is being read."""
        words = "Reading the held-out text..."
        self._display.draw(Text(words))
        self._display.now_and_then(lambda: words)

    def _draw(self, tick: StepReport) -> RenderableType:
        width, height = self._display.room
        beside = bool(self._sample) and width >= _WIDE
        half = (width - 2) // 2
        lines = self._curve(half, _SAMPLE) if beside else self._curve(width, _CURVE)
        # On a low terminal we leave out the sample, then the curve, so that the printed lines stay visible.
        if height < _ABOVE + (_SAMPLE if beside else _CURVE + _LOWEST_SAMPLE):
            lines = []
        latest = self._dev[-1][1] if self._dev and not lines else None
        top = bar(
            tick.step,
            tick.total if tick.total < UNDECIDED else None,
            status(tick, dev_loss=latest),
            width=width,
        )
        chart = Group(*lines)
        if not self._sample:
            return Group(top, chart)
        room = height - _ABOVE - (0 if beside else len(lines))
        panel = Panel(
            Text(self._sample[: graphemes.start(self._sample, self._shown)], style="dim italic"),
            title="sample",
            height=max(3, min(_SAMPLE, room)),
        )
        if not (beside and lines):
            return Group(top, chart, panel)
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=half)
        grid.add_column(width=width - half - 2)
        grid.add_row(chart, panel)
        return Group(top, grid)

    def _curve(self, width: int, height: int) -> list[Text]:
        if self._display.ascii_only:
            return []
        losses = [*self._before, *self._trace.points]
        latest = f"dev loss {self._dev[-1][1]:.3f}" if self._dev else ""
        series = (
            text_chart.Series("training loss", losses, "cyan", dotted=True),
            text_chart.Series(latest, self._dev, "green"),
        )
        return text_chart.draw(series, width=width, height=height)
