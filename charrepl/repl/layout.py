"""The layout: a passage being written, the text with its ghost, the search line, the toolbar."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application.current import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.layout.containers import ConditionalContainer, ScrollOffsets
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.mouse_handlers import MouseHandlers
from prompt_toolkit.layout.processors import (
    HighlightIncrementalSearchProcessor,
    HighlightSelectionProcessor,
    TabsProcessor,
)
from prompt_toolkit.layout.screen import Char, Screen, WritePosition
from prompt_toolkit.output import Output
from prompt_toolkit.widgets import SearchToolbar

from charrepl.editing.grapheme_buffer import TAB_COLUMNS
from charrepl.ghost.state import Ghost
from charrepl.repl.rendering import GhostControl, TextControl, line_prefix
from charrepl.terminal import terminal_width

# The input area has room for one more line than the text, so that a ghost that begins with a
# newline does not move the toolbar.
MIN_ROWS = 2


# Differs from everything that is drawn.
_STALE = Char("", "stale")


class Rows(HSplit):
    """Rows. When a row changes and has a cell of doubtful width, the row is drawn again from that cell on.

    The line editor draws only what changed. It assumes that the rest is on the screen already.
    """

    def write_to_screen(
        self,
        screen: Screen,
        mouse_handlers: MouseHandlers,
        write_position: WritePosition,
        parent_style: str,
        erase_bg: bool,
        z_index: int | None,
    ) -> None:
        super().write_to_screen(screen, mouse_handlers, write_position, parent_style, erase_bg, z_index)
        before = get_app().renderer.last_rendered_screen
        if before is not None:
            for y in range(max(screen.height, before.height)):
                _draw_anew(before.data_buffer[y], screen.data_buffer[y], columns=write_position.width)


def _draw_anew(before: dict[int, Char], after: dict[int, Char], *, columns: int) -> None:
    """Marks a row that changes as not drawn yet, from its first cell of doubtful width on."""
    doubtful = [x for row in (before, after) for x, cell in row.items() if terminal_width.doubtful(cell.char)]
    first = min(doubtful, default=columns)
    if any(before[x] != after[x] for x in range(first, columns)):
        before.update(dict.fromkeys(range(first, columns), _STALE))


def layout(
    buffer: Buffer,
    *,
    ghost: Callable[[], Ghost],
    passage: Callable[[], StyleAndTextTuples],
    toolbar: Callable[[], StyleAndTextTuples],
    output: Output,
) -> Layout:
    """The layout, focused on `buffer`."""

    def rows() -> int:
        return output.get_size().rows

    search = SearchToolbar()
    control = GhostControl(
        buffer=buffer,
        input_processors=[
            HighlightIncrementalSearchProcessor(),
            HighlightSelectionProcessor(),
            TabsProcessor(tabstop=TAB_COLUMNS, char1=" ", char2=" "),
        ],
        include_default_input_processors=False,
        search_buffer_control=search.control,
        preview_search=True,
    )
    control.show(ghost, rows=lambda: max(1, rows() - 3))
    typing = Window(
        control,
        height=lambda: Dimension(min=MIN_ROWS if rows() > MIN_ROWS + 1 else 1),
        get_line_prefix=line_prefix,
        wrap_lines=True,
        # Keeps the ghost's lines visible when the text is taller than the screen.
        scroll_offsets=ScrollOffsets(bottom=lambda: ghost().shown.rstrip("\n").count("\n")),
    )
    writing = ConditionalContainer(
        Window(TextControl(passage), wrap_lines=True, dont_extend_height=True),
        filter=Condition(lambda: bool(passage())),
    )
    status = ConditionalContainer(
        Window(TextControl(toolbar), wrap_lines=True, dont_extend_height=True),
        filter=Condition(lambda: rows() > MIN_ROWS),
    )
    return Layout(Rows([writing, typing, search, status]), typing)
