"""Losses over steps as a small chart in lines of text, drawn in the dots of braille characters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

NARROWEST, LOWEST = 36, 5  # characters and lines; a smaller curve shows nothing
_FEWEST_COLUMNS = 24  # beside the labels, which are long if losses are extreme
_STEEP = 0.05  # the first part of the steps, whose steep fall would make the rest look flat
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column (Unicode, U+2800)

Point = tuple[float, float]  # step, nats per character


class Series(NamedTuple):
    """One curve, with points in order of step. `dotted` tells two curves apart without colours."""

    name: str
    points: Sequence[Point]
    style: str
    dotted: bool = False


class GrowingCurve:
    """A growing curve with a limited number of points. If there are too many, it merges neighbours."""

    def __init__(self, most: int = 1024) -> None:
        self.points: list[Point] = []
        self._most = most
        self._each = 1  # values in a point
        self._waiting: list[Point] = []

    def add(self, step: float, loss: float) -> None:
        """Adds the loss of the next step."""
        self._waiting.append((step, loss))
        if len(self._waiting) < self._each:
            return
        self.points.append(_mean(self._waiting))
        self._waiting.clear()
        if len(self.points) >= self._most:
            self.points = [_mean(self.points[at : at + 2]) for at in range(0, len(self.points), 2)]
            self._each *= 2


def draw(series: Sequence[Series], *, width: int, height: int) -> list[Text]:
    """`height` lines of at most `width` characters. None if there is no curve yet, or no room for one.

    The first line gives the unit and the curves' names; the last line is the axis of steps. Each series is
    drawn over the earlier ones. The fall of the first steps may begin above the chart.
    """
    series = [one._replace(points=[p for p in one.points if math.isfinite(p[1])]) for one in series]
    series = [one for one in series if one.points]
    steps = [step for one in series for step, _ in one.points]
    if width < NARROWEST or height < LOWEST or not steps or min(steps) == max(steps):
        return []
    first, last = min(steps), max(steps)
    bottom, top = _range(series, first + _STEEP * (last - first))
    rows = height - 2
    labels = _labels(bottom, top, rows)
    gutter = max(map(len, labels))
    columns = width - gutter - 2
    if columns < _FEWEST_COLUMNS:
        return []
    cells = [[(0, "")] * columns for _ in range(rows)]
    for one in series:
        across = (2 * columns - 1) / (last - first)
        down = (4 * rows - 1) / (top - bottom)
        points = [((step - first) * across, (top - loss) * down) for step, loss in one.points]
        for x, y in _path(points):
            if y >= 0 and not (one.dotted and x % 3):
                row = cells[y // 4]
                row[x // 2] = (row[x // 2][0] | _DOTS[y % 4][x % 2], one.style)
    lines = [_legend(series, width)]
    for label, row in zip(labels, cells, strict=True):
        line = Text(f"{label:>{gutter}} {'┤' if label else '│'}", style="dim")
        for cell, style in row:
            line.append(chr(0x2800 + cell) if cell else " ", style=style)
        line.rstrip()
        lines.append(line)
    return [*lines, Text(" " * (gutter + 1) + _axis(first, last, columns + 1), style="dim")]


def _mean(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _range(series: Sequence[Series], settled: float) -> tuple[float, float]:
    """The lowest loss, and the highest loss from the step `settled` on. Always two different numbers."""
    bottom = min(loss for one in series for _, loss in one.points)
    top = bottom
    for one in series:
        top = max([top, *(loss for step, loss in one.points if step >= settled)])
        for (x0, y0), (x1, y1) in itertools.pairwise(one.points):
            if x0 < settled < x1:
                top = max(top, y0 + (y1 - y0) * (settled - x0) / (x1 - x0))
    return bottom, max(top, bottom + 0.01)


def _labels(bottom: float, top: float, rows: int) -> list[str]:
    """The label of each row: the loss at the top, in the middle and at the bottom."""
    marked = {0, (rows - 1) // 2, rows - 1}
    digits = 2 if top - bottom >= 0.1 else 3
    return [
        f"{top - (top - bottom) * row / (rows - 1):.{digits}f}" if row in marked else ""
        for row in range(rows)
    ]


def _path(points: Sequence[Point]) -> Iterator[tuple[int, int]]:
    """The dots of a line through all points in order. Points in one column become their mean.

    Points above the chart are at -1, because they may be far above.
    """
    columns: dict[int, list[Point]] = {}
    for point in points:
        columns.setdefault(round(point[0]), []).append(point)
    corners = [(x, _mean(inside)[1]) for x, inside in columns.items()]
    before = max(-1, round(corners[0][1]))
    yield corners[0][0], before
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        for x in range(x0 + 1, x1 + 1):
            y = max(-1, round(y0 + (y1 - y0) * (x - x0) / (x1 - x0)))
            step = 1 if y > before else -1
            yield from ((x, between) for between in range(before + step, y, step))
            yield x, y
            before = y


def _legend(series: Sequence[Series], width: int) -> Text:
    """The unit, and as many names of curves as there is room for, the last series first."""
    line = Text("nats per character", style="dim")
    for one in reversed(series):
        entry = Text(f"  {'⠂⠂' if one.dotted else '⠒⠒'} ", style=one.style)
        entry.append(one.name)
        if len(line) + len(entry) <= width:
            line.append_text(entry)
    return line


def _axis(first: float, last: float, width: int) -> str:
    """The axis, as in `└ 0 ──────── 500 ──────── step 1,000`, with as much as there is room for."""
    start, middle, end = f"└ {first:,.0f} ", f" {(first + last) / 2:,.0f} ", f" step {last:,.0f}"
    before = width // 2 - len(start) - len(middle) // 2
    if before < 1 or width - len(start) - before - len(middle) - len(end) < 1:
        start, before, middle = "└", 0, ""
    return f"{start}{'─' * before}{middle}".ljust(width - len(end), "─") + end
