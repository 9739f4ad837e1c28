"""A terminal becomes narrower and wraps the lines on it: finds the row in which the prompt begins now.

The prompt is erased from its first row on, and then drawn again. Many terminals wrap lines that have become
too long. Then there are more rows above the cursor than were drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Screen

# Set by terminals that wrap. We know nothing about others. A terminal that cuts lines off instead would lose
# what is above the prompt. So a row of the prompt may stay behind on an unknown terminal.
SIGNS = (
    "TMUX",
    "STY",  # GNU screen
    "VTE_VERSION",
    "KITTY_WINDOW_ID",
    "KONSOLE_VERSION",
    "ALACRITTY_WINDOW_ID",
    "WEZTERM_PANE",
    "ITERM_SESSION_ID",
    "WT_SESSION",
    "GHOSTTY_RESOURCES_DIR",
)
_TERMS = ("screen", "tmux", "xterm-kitty", "alacritty", "foot", "wezterm", "xterm-ghostty")


def reflows(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is known to wrap lines that have become too long for it."""
    return environ.get("TERM", "").startswith(_TERMS) or any(sign in environ for sign in SIGNS)


def joins(environ: Mapping[str, str]) -> bool:
    """Whether the terminal may also join rows that were drawn one by one: GNU screen does.

    It remembers that it once wrapped a row, whatever was drawn there later.
    """
    return reflows(environ) and environ.get("TERM", "").startswith("screen") and "TMUX" not in environ


def joined(lines: Sequence[list[int]], cursor: Point, width: int) -> tuple[list[list[int]], Point]:
    """Joins each line that fills `width`, or all but one column, to the next. Moves the cursor with them."""
    result: list[list[int]] = []
    full = False
    at = cursor
    for y, cells in enumerate(lines):
        if full:
            if y == cursor.y:
                at = Point(x=sum(result[-1]) + cursor.x, y=len(result) - 1)
            result[-1] = result[-1] + cells
        else:
            if y == cursor.y:
                at = Point(x=cursor.x, y=len(result))
            result.append(cells)
        full = sum(cells) >= width - 1
    return result, at


def row_of(cells: Sequence[int], columns: int, column: int) -> int:
    """In which row, from 0, a column of a line of cells is when the line is wrapped at `columns`.

    `cells` are the cells' widths. A column behind the line's end is in its last row.
    """
    row = at = used = 0
    for width in cells:
        if used + width > columns:
            row, used = row + 1, 0
        if at >= column:
            break
        at, used = at + width, used + width
    return row


def rows_above(lines: Sequence[Sequence[int]], cursor: Point, columns: int) -> int:
    """How many rows are above the cursor's when lines, as for `row_of`, are wrapped at `columns`."""
    above = sum(row_of(cells, columns, sum(cells)) + 1 for cells in lines[: cursor.y])
    return above + row_of(lines[cursor.y], columns, cursor.x)


def lines_of(screen: Screen) -> list[list[int]]:
    """The lines of a screen as the widths of their cells, without the blanks at their ends."""
    lines = []
    for y in range(screen.height):
        row = screen.data_buffer[y]
        end = max((x + 1 for x, cell in row.items() if cell.char.strip()), default=0)
        cells: list[int] = []
        while sum(cells) < end:
            cells.append(row[sum(cells)].width or 1)
        lines.append(cells)
    return lines


class ReflowingApplication(Application[None]):
    """An application in a terminal that may wrap what was drawn when the terminal becomes narrower.

    If a frame cannot be drawn, `frame_failed` is called with the error. That frame is not tried again.
    """

    def __init__(
        self, *, environ: Mapping[str, str], frame_failed: Callable[[Exception], None], **options: Any
    ) -> None:
        super().__init__(**options)
        self._frame_failed = frame_failed
        self._reflows, self._joins = reflows(environ), joins(environ)
        self._columns = 0
        self.after_render += self._drawn

    def _drawn(self, application: Application[None]) -> None:
        self._columns = self.output.get_size().columns

    def _redraw(self, render_as_done: bool = False) -> None:
        try:
            super()._redraw(render_as_done)
        except Exception as error:  # the event loop's handler would draw a message, and fail again
            self._frame_failed(error)

    def _on_resize(self) -> None:  # prompt_toolkit has no other place for it
        drawn = self.renderer.last_rendered_screen
        if self._reflows and drawn is not None:
            lines, cursor = lines_of(drawn), drawn.get_cursor_position(self.layout.current_window)
            if self._joins:
                lines, cursor = joined(lines, cursor, self._columns)
            self.output.write_raw("\r")
            self.output.cursor_up(rows_above(lines, cursor, self.output.get_size().columns))
            self.renderer.reset(leave_alternate_screen=False)  # so that it does not go up as well
        super()._on_resize()
