"""How many rows a line fills when prompt_toolkit draws it.

prompt_toolkit's own count divides widths. It forgets three things: a wide character at the edge leaves a
column empty, controls are drawn as two characters, and the cursor needs a cell. So the cursor could be out
of sight in a line that is taller than the window. Lines are drawn here cluster by cluster, see
`terminal_width.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.formatted_text import fragment_list_width, to_formatted_text
from prompt_toolkit.layout.controls import GetLinePrefixCallable, UIContent
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.utils import get_cwidth

from charrepl.terminal import terminal_width


def rows_filled(drawn: Iterable[str], width: int, *, start: int = 0) -> int:
    """How many rows a line fills in a window of `width` columns, if it begins at column `start`.

    `drawn` is a text, or for each of its characters what is drawn.
    """
    if isinstance(drawn, str) and drawn.isascii() and drawn.isprintable():
        return max(1, -(-(start + len(drawn)) // width))
    rows, column = 1, start
    for part in drawn:
        size = get_cwidth(part) if part.isprintable() else Char(part).width
        if column + size > width:
            rows, column = rows + 1, 0
        column += size
    return rows


class WrappedContent(UIContent):
    """Content drawn in clusters, whose wrapped lines have no prefix on their further rows."""

    @classmethod
    def from_content(cls, content: UIContent) -> WrappedContent:
        """Another content, drawn in clusters."""
        return cls(
            get_line=lambda number: terminal_width.drawable(content.get_line(number)),
            line_count=content.line_count,
            cursor_position=content.cursor_position,
            menu_position=content.menu_position,
            show_cursor=content.show_cursor,
        )

    def get_height_for_line(
        self,
        lineno: int,
        width: int,
        get_line_prefix: GetLinePrefixCallable | None,
        slice_stop: int | None = None,
    ) -> int:
        line = self.get_line(lineno)
        text = "".join(fragment[1] for fragment in line)
        drawn = text if text.isascii() else [char for fragment in line for char in fragment[1]]
        if slice_stop is not None:
            drawn = drawn[: slice_stop + 1]  # up to the cursor, whose own cell counts
        prefix = to_formatted_text(get_line_prefix(lineno, 0) if get_line_prefix else None)
        start = fragment_list_width(prefix)
        return rows_filled(drawn, width, start=start) if width else 10**8
