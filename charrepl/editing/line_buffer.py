"""The line being typed, with the history before it. However long that is, a line is one key away."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import cast

from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.search import SearchDirection, SearchState

from charrepl.editing.grapheme_buffer import GraphemeBuffer
from charrepl.editing.history import LineHistory, Lines

# How many lines a number before a key can go back.
MOST_AT_ONCE = 1000


class WorkingLines:
    """The lines of the history and the line being typed. Each can be changed until that one is entered.

    Nothing is copied. Lines that are added to `earlier` later are not among them.
    """

    def __init__(self, earlier: Lines, line: str) -> None:
        self._earlier = earlier
        self._count = len(earlier.all)
        self._changed = {self._count: line}

    def __len__(self) -> int:
        return self._count + 1

    def __getitem__(self, index: int) -> str:
        index = index if index >= 0 else len(self) + index
        return self._changed[index] if index in self._changed else self._earlier.all[index]

    def __setitem__(self, index: int, line: str) -> None:
        self._changed[index if index >= 0 else len(self) + index] = line

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def nearest(self, what: str, *, begins: bool, start: int, step: int) -> int | None:
        """The first line from `start` on, in steps of 1 or -1, that contains `what`, or begins with it."""
        found = [
            index
            for index, line in self._changed.items()
            if (index - start) * step >= 0 and (line.startswith(what) if begins else what in line)
        ]
        while start >= 0:
            places = range(start, self._count) if step > 0 else range(min(start, self._count - 1), -1, -1)
            index = self._earlier.nearest(what, begins=begins, places=places)
            if index is not None and index in self._changed:
                start = index + step
                continue
            found += [] if index is None else [index]
            break
        return (min if step > 0 else max)(found, default=None)


class LineBuffer(GraphemeBuffer):
    """A buffer that has its history immediately after a reset, and searches it fast.

    The base class gets the history back only with the next paint, so that Up soon after Enter would find
    nothing. It also makes an object of each line that it searches.
    """

    history: LineHistory

    def reset(self, document: Document | None = None, append_to_history: bool = False) -> None:
        super().reset(document, append_to_history)
        self._filled = False
        self._put_before(Lines())
        self.fill()

    def remember(self, line: str) -> None:
        """Adds a line to the history, unless it is the last one there."""
        if line and self.history.lines.all[-1:] != [line]:
            self.history.append_string(line)

    async def read_history(self) -> None:
        """Reads the history, if that has not been done, and puts it before the line."""
        await self.history.read()
        self.fill()

    def load_history_if_not_yet_loaded(self) -> None:
        if self._load_history_task is None and not self._filled:
            self._load_history_task = get_app().create_background_task(self.read_history())

    def fill(self) -> None:
        """Puts the lines of the history before the one being typed, once they are read."""
        if self._filled or not self.history.loaded:
            return
        self._filled = True
        at = self.cursor_position
        self._put_before(self.history.lines)
        self.working_index = len(self.history.lines.all)
        self.cursor_position = at

    def _put_before(self, earlier: Lines) -> None:
        self._lines = WorkingLines(earlier, self.text)
        self._working_lines = cast("deque[str]", self._lines)
        self._found: tuple[object, tuple[int, int] | None] = (None, None)

    def history_backward(self, count: int = 1) -> None:
        if self._go(count, -1):
            self.cursor_position = len(self.text)

    def history_forward(self, count: int = 1) -> None:
        if self._go(count, 1):
            self.cursor_position = 0
            self.cursor_position += self.document.get_end_of_line_position()

    def _go(self, count: int, step: int) -> bool:
        """Goes through the lines that begin like the line where this started. False if there is none."""
        self._set_history_search()
        begun, before = self.history_search_text or "", self.working_index
        for _ in range(min(count, MOST_AT_ONCE)):
            start = self.working_index + step
            index = self._lines.nearest(begun, begins=True, start=start, step=step)
            if index is None:
                break
            self.working_index = index
        return self.working_index != before

    def _search(
        self, search_state: SearchState, include_current_position: bool = False, count: int = 1
    ) -> tuple[int, int] | None:
        what, direction = search_state.text, search_state.direction
        asked = what, direction, include_current_position, count, self.working_index, self.document
        if self._found[0] != asked:  # each frame asks
            index, document, found = self.working_index, self.document, False
            for _ in range(min(count, MOST_AT_ONCE)):
                place = self._found_next(what, direction, index, document, include_current_position)
                found = place is not None
                if place is None:
                    break
                index, document = place
            self._found = asked, (index, document.cursor_position) if found else None
        return self._found[1]

    def _found_next(
        self, what: str, direction: SearchDirection, index: int, document: Document, here: bool
    ) -> tuple[int, Document] | None:
        """The next place of `what`: the number of its line, and the line with the cursor there."""
        forward = direction is SearchDirection.FORWARD
        within = (
            document.find(what, include_current_position=here) if forward else document.find_backwards(what)
        )
        if within is not None:
            return index, Document(document.text, document.cursor_position + within)
        step = 1 if forward else -1
        other = self._lines.nearest(what, begins=False, start=index + step, step=step)
        if other is None:
            return None
        line = self._lines[other]
        return other, Document(line, line.find(what) if forward else line.rfind(what))
