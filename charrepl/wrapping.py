"""How many rows a line fills, counted as prompt_toolkit then draws it.

Its own count divides widths, forgetting that a wide character at the edge leaves a column empty and
that controls are drawn as two characters, and it leaves out the cell the cursor is on. In a line higher
than the window the cursor was then out of sight. Lines are drawn here cluster by cluster, see `cells.py`.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text import fragment_list_width, to_formatted_text
from prompt_toolkit.layout.controls import GetLinePrefixCallable, UIContent
from prompt_toolkit.layout.screen import Char

from charrepl import cells, graphemes


def rows_filled(text: str, width: int, *, start: int = 0) -> int:
    """How many rows `text` fills in a window of `width` columns, the first from column `start` on."""
    if text.isascii() and text.isprintable():
        return max(1, -(-(start + len(text)) // width))
    rows, column = 1, start
    for cluster in graphemes.iterate(text):
        size = cells.width(cluster) if cluster.isprintable() else Char(cells.drawn(cluster)).width
        if column + size > width:
            rows, column = rows + 1, 0
        column += size
    return rows


class WrappedContent(UIContent):
    """Content drawn in clusters, whose wrapped lines have no prefix on their further rows."""

    @classmethod
    def of(cls, content: UIContent) -> WrappedContent:
        """Another content, drawn so."""
        return cls(
            get_line=lambda number: cells.of(content.get_line(number)),
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
        text = "".join(fragment[1] for fragment in self.get_line(lineno))
        if slice_stop is not None:
            text = text[: slice_stop + 1]  # that is the cursor, and its own cell counts
        prefix = to_formatted_text(get_line_prefix(lineno, 0) if get_line_prefix else None)
        start = fragment_list_width(prefix)
        return rows_filled(text, width, start=start) if width else 10**8
