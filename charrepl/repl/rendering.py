"""Drawing: the ghost after the cursor, what goes to the scrollback, and the toolbar.

The input control shows the ghost, but the buffer never contains it. So nothing can add it to the text by
accident. `colours.py` says how it looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl, UIContent

from charrepl.terminal import terminal_width
from charrepl.terminal.early_prompt import INDENT, PROMPT
from charrepl.terminal.line_rows import WrappedContent
from charrepl.text import graphemes
from charrepl.text.control_characters import visible

if TYPE_CHECKING:
    from charrepl.ghost.state import Ghost
    from charrepl.writing.session import Session

# Shows a newline that accepting the ghost would add, where you could not see it otherwise.
NEWLINE_MARK = "↵"
CUT_MARK = "…"
# How much of a long text is laid out on either side of the cursor: more than a screen holds.
VIEW_CHARS = 4096
# Characters of the unfinished line of a passage.
MOST_UNFINISHED = 400


def ghost_lines(rest: str, *, columns: int, rows: int, mark: str = "") -> list[str]:
    """The ghost as lines to draw, cut where it would fill more than `rows` rows of `columns`.

    `mark` stands at its end.
    """
    if not rest:
        return []
    lines = [visible(line) for line in rest.split("\n")]
    if rest.endswith("\n"):
        lines.pop()
        lines[-1] += NEWLINE_MARK
    lines[-1] += mark
    drawn, used, column = [""], 1, 0
    for number, line in enumerate(lines):
        if number:
            if used == rows:
                return _cut(drawn, column, columns)
            drawn.append("")
            used, column = used + 1, len(INDENT)
        for cluster in graphemes.iterate(line):
            width = terminal_width.width(cluster)
            if column + width > columns:
                if used == rows:
                    return _cut(drawn, column, columns)
                used, column = used + 1, 0
            drawn[-1] += cluster
            column += width
    return drawn


def _cut(drawn: list[str], column: int, columns: int) -> list[str]:
    """`drawn` with the mark of a cut at its end, which is at `column`."""
    last = drawn[-1]
    while last and column + 1 > columns:
        begins = graphemes.last_start(last)
        column -= terminal_width.width(last[begins:])
        last = last[:begins]
    return [*drawn[:-1], last + CUT_MARK]


def ghost_fragments(ghost: Ghost, *, columns: int, rows: int) -> list[StyleAndTextTuples]:
    """The ghost, line by line: the sure part, the less sure part, and which alternative it is."""
    mark = f" ({ghost.place[0]}/{ghost.place[1]})" if ghost.place else ""
    lines = ghost_lines(ghost.shown, columns=columns, rows=rows, mark=mark)
    sure = ghost.shown[: ghost.sure] if ghost.log_probs else ghost.shown
    last_sure, column = sure.count("\n"), len(visible(sure.rpartition("\n")[2]))
    drawn: list[StyleAndTextTuples] = []
    for number, line in enumerate(lines):
        place = mark if number == len(lines) - 1 and line.endswith(mark) else ""
        text = line.removesuffix(place)
        cut = len(text) if number < last_sure or sure == ghost.shown else column if number == last_sure else 0
        cut = graphemes.start(text, cut)
        parts = [
            ("class:ghost", text[:cut]),
            ("class:ghost.unsure", text[cut:]),
            ("class:ghost.place", place),
        ]
        drawn.append([part for part in parts if part[1]])
    return drawn


class TextControl(FormattedTextControl):
    """A control that draws its text in clusters."""

    def create_content(self, width: int, height: int | None) -> UIContent:
        return WrappedContent.from_content(super().create_content(width, height))


class GhostControl(BufferControl):
    """An input control that draws a ghost after the text, with lines of its own where it has newlines."""

    _view: Buffer | None = None

    def show(self, ghost: Callable[[], Ghost], *, rows: Callable[[], int]) -> None:
        """Sets where the ghost comes from and how many rows it may fill."""
        self._ghost = ghost
        self._rows = rows

    def create_content(self, width: int, height: int, preview_search: bool = False) -> UIContent:
        content = self._text_content(width, height, preview_search)
        lines = ghost_fragments(self._ghost(), columns=width, rows=self._rows()) or [[]]
        last, own_line = content.line_count - 1, content.get_line

        def get_line(number: int) -> StyleAndTextTuples:
            if number < last:
                return terminal_width.drawable(own_line(number))
            # The base class ends each line with a space for the cursor. The ghost replaces it.
            before = own_line(last)[:-1] if number == last else []
            # Text and ghost are drawn apart: a ghost that begins with a mark must not change what is typed.
            return [
                *terminal_width.drawable(before),
                *terminal_width.drawable(lines[number - last]),
                ("", " "),
            ]

        return WrappedContent(
            get_line=get_line,
            line_count=content.line_count + len(lines) - 1,
            cursor_position=content.cursor_position,
            menu_position=content.menu_position,
        )

    def _text_content(self, width: int, height: int, preview_search: bool) -> UIContent:
        """The text without the ghost. Of a long text, only the part around the cursor."""
        document = self.buffer.document
        if len(document.text) <= 2 * VIEW_CHARS:
            return super().create_content(width, height, preview_search)
        # Laying out a line takes 2 us a character, three times a key: with a pasted book you would notice.
        cursor = document.cursor_position
        start = max(0, cursor - VIEW_CHARS)
        part = Document(document.text[start : cursor + VIEW_CHARS], cursor - start)
        all_of_it = self.buffer
        self._view = self._view or Buffer()
        self._view.document = part
        self.buffer = self._view
        try:
            return super().create_content(width, height, preview_search)
        finally:
            self.buffer = all_of_it


def line_prefix(line: int, wrapped: int) -> StyleAndTextTuples:
    """What is drawn before a line of the input. Nothing before a wrapped part, as in the scrollback."""
    if wrapped:
        return []
    return [("class:prompt", PROMPT)] if line == 0 else [("", INDENT)]


def committed(line: str) -> StyleAndTextTuples:
    """An entered line as it goes to the scrollback."""
    return [("class:prompt", PROMPT), ("", indented(line).removeprefix(INDENT))]


def indented(text: str) -> str:
    """Text for the scrollback, indented like the lines of the input."""
    lines = [f"{INDENT}{visible(line)}".rstrip(" ") for line in text.removesuffix("\n").split("\n")]
    return "\n".join(lines) + "\n"


def unfinished(text: str, *, begins: bool) -> StyleAndTextTuples:
    """The part of a passage that is not in the scrollback yet. `begins` if it is the passage's beginning."""
    lines = indented(text[-MOST_UNFINISHED:]).removesuffix("\n")
    return (
        [("class:prompt", PROMPT), ("class:passage", lines.removeprefix(INDENT))]
        if begins
        else [("class:passage", lines)]
    )


def toolbar(session: Session, *, writing: bool, greeting: str = "") -> StyleAndTextTuples:
    """The line under the input: a notice if there is one, else the state of things.

    The greeting and the announcement have lines of their own.
    """
    if session.notice:
        return [("class:toolbar.notice", visible(session.notice))]
    tally = session.tally
    parts = [session.link.model, session.condition]
    if writing:
        parts.append("writing: Esc stops it")
    if session.settings.temperature:
        parts.append(f"temperature {session.settings.temperature:g}")
    if session.waiting_s >= 1:
        parts.append("the daemon is slow to answer")
    elif tally.latency_ms is not None:
        parts.append(f"{tally.latency_ms:.0f} ms")
    if tally.acceptance is not None:
        parts.append(f"{tally.acceptance:.0%} accepted")
    bits = session.surprise.mean_of_pieces(session.draft)
    if bits is not None:
        parts.append(f"{bits:.2f} bits/char")
    drawn: StyleAndTextTuples = [("class:toolbar", visible(" · ".join(part for part in parts if part)))]
    if greeting and session.announcement:
        drawn.append(("class:toolbar.notice", "\n" + visible(session.announcement)))
    if greeting:
        drawn.append(("class:toolbar", "\n" + visible(greeting)))
    return drawn
