"""How many rows a line fills, counted as prompt_toolkit then draws it.

Its own count divides widths, forgetting that a wide character at the edge leaves a column empty and
that controls are drawn as two characters, and it leaves out the cell the cursor is on. In a line higher
than the window the cursor was then out of sight.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text import fragment_list_width, to_formatted_text
from prompt_toolkit.layout.controls import GetLinePrefixCallable, UIContent
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.utils import get_cwidth


def rows_filled(text: str, width: int, *, start: int = 0) -> int:
    """How many rows `text` fills in a window of `width` columns, the first from column `start` on."""
    if text.isascii() and text.isprintable():
        return max(1, -(-(start + len(text)) // width))
    rows, column = 1, start
    for char in text:
        size = get_cwidth(char) if char.isprintable() else Char(char).width
        if column + size > width:
            rows, column = rows + 1, 0
        column += size
    return rows


class WrappedContent(UIContent):
    """Content whose wrapped lines have no prefix on their further rows."""

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
