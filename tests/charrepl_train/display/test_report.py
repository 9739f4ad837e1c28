"""What a terminal is sent while a model trains."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pyte
import pytest

from charrepl.terminal.progress import Display
from charrepl_train.display.report import Reporter
from charrepl_train.model_directory.metrics_history import Record
from charrepl_train.model_directory.records import Metrics, StepReport
from charrepl_train.run.evaluation_schedule import UNDECIDED


def test_a_sample_cannot_command_the_terminal() -> None:
    out = io.StringIO()
    with Display(out) as display:
        reporter = Reporter(display)
        sample = "\x1b]0;title\x07 \x9b31m \u202eright to left\nnext"
        reporter.metrics(
            Metrics(
                step=1,
                epoch=1,
                loss=1,
                accuracy=0,
                learning_rate=0.1,
                elapsed_s=1,
                characters_per_s=9,
                sample=sample,
            )
        )
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out.getvalue())
    assert "right to left\nnext" in out.getvalue()


def test_there_is_no_time_left_to_show_before_it_is_known() -> None:
    out = io.StringIO()
    with Display(out, draws=True, size=lambda: (120, 24)) as display:
        reporter = Reporter(display)
        reporter.tick(StepReport(7, UNDECIDED, 1.0, 9.0, 1e9, False))
        assert "step 7" in out.getvalue()
        assert "left" not in out.getvalue()
        reporter.tick(StepReport(8, 100, 1.0, 9.0, 200, True))
        assert "step 8 of 100" in out.getvalue()
        assert "3 min 20 s left" in out.getvalue()


def evaluated(step: int, **more: Any) -> Metrics:
    measured = {"epoch": step / 100, "loss": 100 / step, "accuracy": 0.5, "learning_rate": 0.1}
    return Metrics(step=step, **measured, elapsed_s=1, characters_per_s=9, **more)


class Watched:
    """A reporter and the screen that it draws on, after each of what it was told."""

    def __init__(self, columns: int, rows: int, *, encoding: str = "utf-8") -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.ByteStream(self.screen)
        self._raw = io.BytesIO()
        file = io.TextIOWrapper(self._raw, encoding=encoding, write_through=True)
        self.display = Display(file, draws=True, size=lambda: (columns, rows))

    def lines(self) -> list[str]:
        self._stream.feed(self._raw.getvalue())
        self._raw.seek(0)
        self._raw.truncate()
        return [line.rstrip() for line in self.screen.display]


def train(reporter: Reporter, *, sample: str | None) -> None:
    for step in range(1, 301):
        if step % 100 == 0:
            reporter.metrics(evaluated(step, dev_loss=1 + 100 / step, sample=sample))
        reporter.tick(StepReport(step, 1000, 1 + 100 / step, 3000.0, 75.0, False))


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 30), (120, 24), (200, 50)])
def test_a_terminal_shows_the_curve_and_the_sample_and_all_is_gone_after(columns: int, rows: int) -> None:
    watched = Watched(columns, rows)
    with watched.display as display:
        train(Reporter(display), sample="My lord")
        shown = "\n".join(watched.lines())
    assert "nats per character  ⠒⠒ dev loss 1.333  ⠂⠂ training loss" in shown
    assert shown.count("step 300") == 2  # of the bar and of the axis
    assert shown.count("└") == 1
    assert "│ My lord" in shown
    assert "epoch 3.00  loss 0.3333" in shown
    printed = ("epoch", "characters/s")  # where an evaluation's line goes on in the next
    assert [line for line in watched.lines() if line and not line.lstrip().startswith(printed)] == []


def test_a_curve_comes_before_the_first_sample() -> None:
    watched = Watched(80, 24)
    with watched.display as display:
        reporter = Reporter(display)
        for step in (1, 2, 3):
            reporter.tick(StepReport(step, 1000, 4.0 - step, 3000.0, 75.0, False))
        assert "nats per character  ⠂⠂ training loss" in watched.lines()


def test_the_curve_of_a_resumed_run_goes_on() -> None:
    watched = Watched(80, 24)
    before = [Record(step=step, loss=2.0, dev_loss=2.5) for step in (100, 200)]
    with watched.display as display:
        Reporter(display, before).tick(StepReport(201, 1000, 1.9, 3000.0, 75.0, False))
        lines = watched.lines()
    assert lines[1] == "nats per character  ⠒⠒ dev loss 2.500  ⠂⠂ training loss"
    assert lines[9].split()[1:2] == ["100"]


@pytest.mark.parametrize(
    ("columns", "rows", "encoding"), [(30, 24, "utf-8"), (80, 12, "utf-8"), (80, 24, "ascii")]
)
def test_where_a_curve_has_no_place_there_is_none(columns: int, rows: int, encoding: str) -> None:
    watched = Watched(columns, rows, encoding=encoding)
    with watched.display as display:
        train(Reporter(display), sample="My lord")
        shown = "\n".join(watched.lines())
    assert "nats per character" not in shown
    assert "step 300 of 1,000" in shown
    assert "My lord" in shown


def test_a_file_gets_no_curve() -> None:
    out = io.StringIO()
    with Display(out) as display:
        train(Reporter(display), sample=None)
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["epoch"] * 3


def test_a_log_is_told_how_far_it_is_by_time_and_not_by_step() -> None:
    out, now = io.StringIO(), [0.0]
    with Display(out, now=lambda: now[0]) as display:
        reporter = Reporter(display)
        for step in range(1, 40_001):  # eleven hours
            now[0] = float(step)
            reporter.tick(StepReport(step, 40_000, 2.0, 3000.0, 40_000.0 - step, steady=step > 3))
    lines = out.getvalue().splitlines()
    assert lines[0] == "step 4 of 40,000  loss 2.000  3,000 characters/s  11 h 06 min left"
    told = [int(line.split()[1].replace(",", "")) for line in lines]
    between = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert min(between) >= 15
    assert max(between) == 300
    assert len(told) < 180
