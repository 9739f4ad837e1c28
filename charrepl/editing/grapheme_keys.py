"""Keys of the line editor that count or change characters. Here they work on grapheme clusters."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.clipboard import ClipboardData
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyPressEvent
from prompt_toolkit.key_binding.bindings import vi
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.selection import SelectionState, SelectionType

from charrepl.editing.grapheme_buffer import GraphemeBuffer, GraphemeDocument

# vi's text objects use a document's selection to delete.
vi.Document = GraphemeDocument  # type: ignore[attr-defined]


class _TextObject(vi.TextObject):
    """A vi text object whose block includes the cursor's column. The library leaves that column out."""

    def cut(self, buffer: Buffer) -> tuple[Document, ClipboardData]:
        if self.type is not vi.TextObjectType.BLOCK:
            return super().cut(buffer)
        at, corner = buffer.cursor_position + self.end, buffer.cursor_position + self.start
        selection = SelectionState(original_cursor_position=corner, type=SelectionType.BLOCK)
        return GraphemeDocument(buffer.text, at, selection).cut_selection()


vi.TextObject = _TextObject  # type: ignore[misc]

Handler = Callable[[KeyPressEvent], None]


def _buffer(event: KeyPressEvent) -> GraphemeBuffer | None:
    """The buffer, if it is a GraphemeBuffer. The text to search for is typed into another kind."""
    buffer = event.current_buffer
    return buffer if isinstance(buffer, GraphemeBuffer) else None


def _deleting(direction: int) -> Handler:
    def delete(event: KeyPressEvent) -> None:
        buffer, count = _buffer(event), event.arg * direction
        if buffer is not None:
            deleted = buffer.delete_clusters(count)
        elif count < 0:
            deleted = event.current_buffer.delete_before_cursor(-count)
        else:
            deleted = event.current_buffer.delete(count)
        if not deleted:
            event.app.output.bell()

    return delete


def _vi_deleting(direction: int) -> Handler:
    def delete(event: KeyPressEvent) -> None:
        buffer = _buffer(event)
        deleted = buffer.delete_clusters(event.arg * direction, within_line=True) if buffer else ""
        if deleted:
            event.app.clipboard.set_text(deleted)

    return delete


def _vi_substitute(event: KeyPressEvent) -> None:
    _vi_deleting(1)(event)
    event.app.vi_state.input_mode = InputMode.INSERT


def _changing_words(change: Callable[[str], str]) -> Handler:
    def change_words(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        for _ in range(event.arg):
            end = buffer.document.find_next_word_ending()
            if end and isinstance(buffer, GraphemeBuffer):
                buffer.change(end, change)

    return change_words


def _vi_swap_case(event: KeyPressEvent) -> None:
    buffer = _buffer(event)
    if buffer is not None:
        buffer.change(buffer.document.get_cursor_right_position(event.arg), str.swapcase)


# These replace prompt_toolkit's, by module and function.
INSTEAD: dict[tuple[str, str], Handler] = {
    ("named_commands", "delete_char"): _deleting(1),
    ("named_commands", "backward_delete_char"): _deleting(-1),
    ("named_commands", "uppercase_word"): _changing_words(str.upper),
    ("named_commands", "downcase_word"): _changing_words(str.lower),
    ("named_commands", "capitalize_word"): _changing_words(str.capitalize),
    ("vi", "_delete"): _vi_deleting(1),
    ("vi", "_delete_before_cursor"): _vi_deleting(-1),
    ("vi", "_substitute"): _vi_substitute,
    ("vi", "_reverse_case"): _vi_swap_case,
}
