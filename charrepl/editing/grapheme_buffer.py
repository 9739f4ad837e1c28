"""A line editor's buffer. The cursor is always between grapheme clusters, and whole clusters are deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.cache import FastDictCache
from prompt_toolkit.clipboard import ClipboardData
from prompt_toolkit.document import Document
from prompt_toolkit.selection import PasteMode, SelectionState, SelectionType

from charrepl.terminal import terminal_width
from charrepl.text import graphemes, words

words.teach_the_editor()

TAB_COLUMNS = 4  # as tabs are drawn


class GraphemeDocument(Document):
    """A text with a cursor that moves left and right by clusters."""

    def get_cursor_left_position(self, count: int = 1) -> int:
        if count < 0:
            return self.get_cursor_right_position(-count)
        first = self.cursor_position - self.cursor_position_col
        at = self.cursor_position
        for _ in range(count):
            if at > first:
                at = graphemes.start(self.text, at - 1)
        return at - self.cursor_position

    def get_cursor_right_position(self, count: int = 1) -> int:
        if count < 0:
            return self.get_cursor_left_position(-count)
        last = self.cursor_position + len(self.current_line_after_cursor)
        at = self.cursor_position
        for _ in range(count):
            if at < last:
                at = graphemes.end(self.text, at + 1)
        return at - self.cursor_position

    @property
    def column(self) -> int:
        """The column of the screen that the cursor is in."""
        return self._place(self.cursor_position)[1]

    def get_cursor_up_position(self, count: int = 1, preferred_column: int | None = None) -> int:
        return self.get_cursor_down_position(-count, preferred_column)

    def get_cursor_down_position(self, count: int = 1, preferred_column: int | None = None) -> int:
        column = self.column if preferred_column is None else preferred_column
        row = min(max(0, self.cursor_position_row + count), self.line_count - 1)
        line = self.lines[row]
        at = next((first for first, _, _, right in _cells(line) if right > column), len(line))
        return self.translate_row_col_to_index(row, at) - self.cursor_position

    def selection_ranges(self) -> Iterable[tuple[int, int]]:
        if self.selection and self.selection.type is SelectionType.BLOCK:
            yield from (part for _, part in self._block(self.selection.original_cursor_position))
            return
        for first, last in super().selection_ranges():
            yield graphemes.start(self.text, first), graphemes.end(self.text, last)

    def selection_range_at_line(self, row: int) -> tuple[int, int] | None:
        if not self.selection or self.selection.type is not SelectionType.BLOCK:
            return super().selection_range_at_line(row)
        begin = self.translate_row_col_to_index(row, 0)
        for number, (first, last) in self._block(self.selection.original_cursor_position):
            if number == row:
                return first - begin, last - begin
        return None

    def _block(self, corner: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """The rows of a block from `corner` to the cursor. For each row, the part in the block's columns.

        Rows too short to reach the block are left out. A cluster in any column of the block is in the block.
        """
        corners = [self._place(corner), self._place(self.cursor_position)]
        left, right = min(left for _, left, _ in corners), max(right for _, _, right in corners)
        rows = sorted(row for row, _, _ in corners)
        for row in range(rows[0], rows[1] + 1):
            begin, line = self.translate_row_col_to_index(row, 0), self.lines[row]
            inside = [cell for cell in _cells(line) if cell[2] < right and cell[3] > left]
            if inside:
                yield row, (begin + inside[0][0], begin + inside[-1][1])
            elif _width(line) >= left:
                yield row, (begin + len(line), begin + len(line))

    def _place(self, at: int) -> tuple[int, int, int]:
        """The row of a character, and the columns in which its cluster begins and ends."""
        row, index = self.translate_index_to_position(at)
        for first, last, left, right in _cells(self.lines[row]):
            if first <= index < last:
                return row, left, right
        width = _width(self.lines[row])
        return row, width, width + 1  # the cursor is behind the line

    def paste_clipboard_data(
        self, data: ClipboardData, paste_mode: PasteMode = PasteMode.EMACS, count: int = 1
    ) -> Document:
        if paste_mode is PasteMode.VI_AFTER and data.type is SelectionType.CHARACTERS:
            at = self.cursor_position + self.get_cursor_right_position()
            pasted = data.text * count
            return Document(self.text[:at] + pasted + self.text[at:], max(0, at + len(pasted) - 1))
        if data.type is SelectionType.BLOCK:
            return self._with_block(data.text, count, after=paste_mode is PasteMode.VI_AFTER)
        return super().paste_clipboard_data(data, paste_mode, count)

    def _with_block(self, text: str, count: int, *, after: bool) -> Document:
        """The document with each line of `text` inserted in a row, from the cursor on, in one column."""
        row, column, right = self._place(self.cursor_position)
        if after and self.current_line_after_cursor:
            column = right
        lines, position = list(self.lines), 0
        for number, part in enumerate(text.split("\n"), row):
            lines += [""] if number == len(lines) else []
            line = lines[number]
            at = next((first for first, _, left, _ in _cells(line) if left >= column), len(line))
            start = line[:at] + " " * (column - _width(line[:at]))
            if number == row:
                position = self.translate_row_col_to_index(row, 0) + len(start)
            lines[number] = start + part * count + line[at:]
        return Document("\n".join(lines), position)


def _cells(line: str) -> Iterator[tuple[int, int, int, int]]:
    """Where each cluster of a line begins and ends: in characters, then in columns."""
    at = column = 0
    for cluster in graphemes.iterate(line):
        tab = TAB_COLUMNS - column % TAB_COLUMNS
        right = column + (tab if cluster == "\t" else terminal_width.width(cluster))
        yield (
            at,
            at + len(cluster),
            column,
            max(right, column + 1),
        )  # a cluster without width is in the column of the next one
        at, column = at + len(cluster), right


def _width(line: str) -> int:
    """How many columns a line fills."""
    return max((right for *_, right in _cells(line)), default=0)


class GraphemeBuffer(Buffer):
    """A buffer that never splits a cluster.

    The library counts in characters. A movement or deletion that would end within a cluster goes to its end.
    """

    _documents: FastDictCache[tuple[str, int, SelectionState | None], Document] = FastDictCache(
        GraphemeDocument, size=10
    )

    @property
    def document(self) -> Document:
        return self._documents[self.text, self.cursor_position, self.selection_state]

    @document.setter
    def document(self, value: Document) -> None:
        self.set_document(value)

    @property
    def cursor_position(self) -> int:
        return int(Buffer.cursor_position.fget(self))  # type: ignore[attr-defined]

    @cursor_position.setter
    def cursor_position(self, value: int) -> None:
        onward = value > self.cursor_position
        at = graphemes.end(self.text, value) if onward else graphemes.start(self.text, value)
        Buffer.cursor_position.fset(self, at)  # type: ignore[attr-defined]

    def cursor_up(self, count: int = 1) -> None:
        self.cursor_down(-count)

    def cursor_down(self, count: int = 1) -> None:
        document = self.document
        assert isinstance(document, GraphemeDocument)
        column = document.column if self.preferred_column is None else self.preferred_column
        self.cursor_position += document.get_cursor_down_position(count, column)
        self.preferred_column = column  # for the next line, as this one may be too short

    def delete_before_cursor(self, count: int = 1) -> str:
        first = graphemes.start(self.text, max(0, self.cursor_position - count))
        return super().delete_before_cursor(self.cursor_position - first)

    def delete(self, count: int = 1) -> str:
        return super().delete(graphemes.end(self.text, self.cursor_position + count) - self.cursor_position)

    def delete_clusters(self, count: int, *, within_line: bool = False) -> str:
        """Deletes `count` clusters after the cursor, or before it if `count` is negative. Returns them."""
        document = self.document
        if not within_line:
            # As one line, in which newlines are characters like others.
            document = GraphemeDocument(self.text.replace("\n", " "), self.cursor_position)
        by = document.get_cursor_right_position(count)
        return super().delete_before_cursor(-by) if by < 0 else super().delete(by)

    def change(self, count: int, change: Callable[[str], str]) -> None:
        """Changes `count` characters after the cursor, to the end of a cluster, and moves behind them."""
        super().insert_text(change(self.delete(count)))

    def swap_characters_before_cursor(self) -> None:
        end = self.cursor_position
        middle = graphemes.start(self.text, max(0, end - 1))
        first = graphemes.start(self.text, max(0, middle - 1))
        text = self.text
        self.text = text[:first] + text[middle:end] + text[first:middle] + text[end:]

    def insert_text(
        self, data: str, overwrite: bool = False, move_cursor: bool = True, fire_event: bool = True
    ) -> None:
        if overwrite:
            # It replaces as many clusters as it inserts, and never the end of a line.
            rest = self.document.current_line_after_cursor
            over = "".join(graphemes.clusters(rest)[: len(graphemes.clusters(data))])
            super().delete(len(over))
        super().insert_text(data, False, move_cursor, fire_event)
