"""The curve that is drawn in characters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl_train.display.text_chart import LOWEST, NARROWEST, GrowingCurve, Series, draw

LINE = Series("dev loss", [(0, 3.0), (1000, 1.0)], "green")


def plain(*series: Series, width: int = 60, height: int = 8) -> list[str]:
    return [line.plain for line in draw(series, width=width, height=height)]


def dots(lines: list[str]) -> int:
    return sum((ord(c) - 0x2800).bit_count() for line in lines[1:] for c in line if 0x2800 < ord(c) < 0x2900)


def test_a_falling_loss_falls_from_the_left_to_the_right() -> None:
    assert plain(Series("dev loss", [(0, 3.0), (50, 3.0), (1000, 1.0)], "green"), width=40, height=6) == [
        "nats per character  ⠒⠒ dev loss",
        "3.00 ┤⠉⠉⠉⠒⠒⠤⠤⣀⣀",
        "2.33 ┤         ⠉⠉⠑⠒⠢⠤⢄⣀⡀",
        "     │                 ⠈⠉⠉⠒⠒⠤⠤⣀⣀⡀",
        "1.00 ┤                          ⠈⠉⠑⠒⠢⠤⢄⣀",
        "     └ 0 ─────────── 500 ──── step 1,000",
    ]


def test_there_is_no_curve_without_two_steps_or_without_room() -> None:
    assert plain() == []
    assert plain(Series("dev loss", [], "green")) == []
    assert plain(Series("dev loss", [(5, 1.0)], "green")) == []
    assert plain(Series("dev loss", [(5, 1.0), (6, math.nan)], "green")) == []
    assert plain(LINE, width=NARROWEST - 1) == plain(LINE, height=LOWEST - 1) == []


def test_the_steep_first_steps_do_not_flatten_the_rest() -> None:
    steep = Series("dev loss", [(1, 9.0), (50, 2.0), (1000, 1.0)], "green")
    assert plain(steep)[1].startswith("2.00 ┤")


def test_a_loss_that_does_not_change_is_drawn() -> None:
    lines = plain(Series("dev loss", [(0, 1.5), (9, 1.5)], "green"))
    assert lines[-2].startswith("1.500 ┤⣀⣀⣀")


def test_two_curves_are_told_apart_without_colours() -> None:
    dotted = LINE._replace(name="training loss", dotted=True)
    assert 2 < dots(plain(dotted)) < dots(plain(LINE)) / 2
    assert plain(dotted, LINE)[0] == "nats per character  ⠒⠒ dev loss  ⠂⠂ training loss"
    assert plain(dotted, LINE, width=40)[0] == "nats per character  ⠒⠒ dev loss"


points = st.lists(st.tuples(st.integers(0, 10**9), st.floats(-1e6, 1e6)), max_size=50).map(sorted)


@given(points, points, st.integers(0, 130), st.integers(0, 20))
def test_any_curve_fits(
    a: list[tuple[int, float]], b: list[tuple[int, float]], width: int, height: int
) -> None:
    lines = plain(
        Series("training loss", a, "cyan", dotted=True),
        Series("dev loss", b, "green"),
        width=width,
        height=height,
    )
    assert len(lines) in (0, height)
    assert all(len(line) <= width for line in lines)


def test_a_trace_stays_short_and_keeps_the_mean() -> None:
    trace = GrowingCurve(most=16)
    for step in range(4096):
        trace.add(step, step % 2)
        assert len(trace.points) < 16
    steps = [step for step, _ in trace.points]
    assert steps == sorted(steps)
    assert {loss for _, loss in trace.points} == {0.5}


@pytest.mark.parametrize("values", [1, 2, 15])
def test_a_short_trace_keeps_every_value(values: int) -> None:
    trace = GrowingCurve(most=16)
    for step in range(values):
        trace.add(step, 2.0 * step)
    assert trace.points == [(step, 2.0 * step) for step in range(values)]
