"""The layout: a passage being written, the text with its ghost, the search line, the toolbar."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.layout.containers import ConditionalContainer, ScrollOffsets
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.processors import (
    HighlightIncrementalSearchProcessor,
    HighlightSelectionProcessor,
    Processor,
    TabsProcessor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.output import Output
from prompt_toolkit.widgets import SearchToolbar

from charrepl.ghost import Ghost
from charrepl.render import GhostControl, line_prefix
from charrepl.safe import in_order

# The input area has room for one more line than the text, so that a ghost that begins with a
# newline does not move the toolbar.
MIN_ROWS = 2


class InOrderProcessor(Processor):
    """Draws what is typed in its order, whatever marks are in it; prompt_toolkit sees to the controls."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        drawn = transformation_input.fragments
        if not transformation_input.document.lines[transformation_input.lineno].isascii():
            drawn = [(fragment[0], in_order(fragment[1])) for fragment in drawn]
        return Transformation(drawn)


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
            TabsProcessor(char1=" ", char2=" "),
            InOrderProcessor(),
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
        # Keeps the lines of the ghost on the screen too when the text is taller than it.
        scroll_offsets=ScrollOffsets(bottom=lambda: ghost().shown.rstrip("\n").count("\n")),
    )
    writing = ConditionalContainer(
        Window(FormattedTextControl(passage), wrap_lines=True, dont_extend_height=True),
        filter=Condition(lambda: bool(passage())),
    )
    status = ConditionalContainer(
        Window(FormattedTextControl(toolbar), wrap_lines=True, dont_extend_height=True),
        filter=Condition(lambda: rows() > MIN_ROWS),
    )
    return Layout(HSplit([writing, typing, search, status]), typing)
