"""The page: the line being typed and the text before it, which change together.

Every change of the draft or the line goes through here, so that the ghost, the journal and the scrollback
agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples

from charrepl.commands.slash_lines import as_typed, begins_command, literal
from charrepl.editing.line_buffer import LineBuffer
from charrepl.repl.continuation_writer import ContinuationWriter
from charrepl.repl.rendering import committed, indented, unfinished
from charrepl.writing.autosave import Autosave
from charrepl.writing.continuation import MOST_CHARS, Continuation
from charrepl.writing.draft import Draft
from charrepl.writing.session import Session

if TYPE_CHECKING:
    from charrepl.writing.journal import State

# Longer lines, which were pasted, are not kept in the history.
HISTORY_CHARS = 10_000
# We remember so many characters of a pasted line's beginning, to recognise the line.
PASTED_CHARS = 8

# What people type in other programs to leave.
LEAVING = ("quit", "exit", ":q", ":q!", ":wq")


class Line(NamedTuple):
    """A line that was entered."""

    shown: str
    text: str | None  # the text that it stands for; None if it is a command


class Page:
    """A session's text at the prompt. `show` prints into the scrollback, `command` runs a command.

    With `echoed`, a typed line is in the scrollback already.
    """

    def __init__(
        self,
        session: Session,
        buffer: LineBuffer,
        autosave: Autosave,
        *,
        show: Callable[[StyleAndTextTuples], None],
        command: Callable[[str], None],
        echoed: bool = False,
    ) -> None:
        self.writer = ContinuationWriter(
            session, print_lines=self._print_lines, grown=self._passage_grown, finished=self._passage_finished
        )
        self._session = session
        self._buffer = buffer
        self._autosave = autosave
        self._show = show
        self._command = command
        self._echoed = echoed
        self._ahead: list[tuple[Line, Callable[[Line], None]]] = []  # entered while the model writes
        self._asked = False  # whether we asked if a word was meant as a command
        self._pasted = ""  # how a pasted line begins, if it would mean something else when typed
        # The line's length before it changed; None if more than one key changes it.
        self._length: int | None = 0
        buffer.on_text_changed += self._text_changed
        buffer.on_cursor_position_changed += lambda _: self.sync()

    # The line

    @property
    def line(self) -> str:
        """The line being typed."""
        return self._buffer.text

    @property
    def text(self) -> str | None:
        """The text that the line stands for; None if it is a command."""
        return self.line if self._as_it_is else literal(self.line)

    @property
    def command_begun(self) -> bool:
        """Whether the line is a command, or may become one, with the cursor at its end."""
        return begins_command(self.line) and self._buffer.document.is_cursor_at_the_end

    @property
    def _as_it_is(self) -> bool:
        return bool(self._pasted) and self.line.startswith(self._pasted)

    def take(self, part: Callable[[str], str]) -> None:
        """Inserts a part of the ghost."""
        self._length = None
        self._buffer.insert_text(self._session.take(part))

    def paste(self, text: str) -> None:
        """Inserts pasted text at the cursor, unchanged."""
        if not text:
            return
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if not self._buffer.cursor_position and text.startswith("//"):
            self._pasted = text[:PASTED_CHARS]
        self._length = None
        self._buffer.insert_text(text)

    def enter(self) -> None:
        """Adds the line to the scrollback and the text, or runs it as a command.

        If the line is only a word such as `exit`, asks once what you meant.
        """
        word = self.line.strip()
        if word in LEAVING and not self._asked and self.writer.passage is None:
            self._asked = True
            self._session.tell(f"/quit or Ctrl-D ends the session; Enter again adds {word} to the text")
        else:
            self._in_turn(self._enter)

    def write_on(self) -> None:
        """Lets the model continue from the end of the line to the end of the speech."""
        if self.text is None:
            self._session.tell("the model cannot continue a command: Enter runs it")
        else:
            self._in_turn(self._write_on)

    def clear(self) -> None:
        """Clears the line. Undo brings it back."""
        cleared = self._buffer.document
        self._buffer.reset()  # back from a line of the history to a new one
        self._buffer.document = cleared
        self._buffer.save_to_undo_stack()
        self._buffer.document = Document()

    def put_back(self, text: str) -> None:
        """Puts text before what is in the line. The cursor stays at the same character."""
        if text:
            self._length = None
            cursor = len(text) + self._buffer.cursor_position
            self._buffer.document = Document(text + self.line, cursor)

    def replace(self, line: str) -> None:
        """Replaces the line."""
        self._length = None
        self._buffer.document = Document(line)

    def sync(self) -> None:
        """Tells the session and the journal what is typed now."""
        passage = self.writer.passage
        written = as_typed(passage.typed + passage.written) if passage is not None and passage.kept else ""
        text_known = not self._ahead and (passage is None or not passage.kept)
        ghost_fits = text_known and self._buffer.document.is_cursor_at_the_end
        self._session.line_changed(self.text if ghost_fits and not begins_command(self.line) else None)
        self._autosave.line_changed(written + self._typed)

    @property
    def _typed(self) -> str:
        """What was typed and is not in the text yet: lines that wait, and the line itself."""
        ahead = [line.shown if line.text is None else line.text for line, _ in self._ahead]
        if ahead:
            return as_typed("\n".join([*ahead, self.line]))
        return as_typed(self.line) if self._as_it_is else self.line

    # The text

    def go_on(self, state: State) -> None:
        """Continues a session where it was left, in its own journal."""
        self._session.reopen(state.draft)
        self._autosave.begin(state.draft, state.line)
        self.replace(state.line)

    def open(self, draft: Draft, line: str) -> None:
        """Continues another text, in a new journal. `line` is the unfinished line at the text's end."""
        self._session.reopen(draft)
        self.put_back(as_typed(line))
        self._autosave.replaced(draft, self.line)
        self.sync()

    def undo(self) -> str | None:
        """Takes back what was added last, and returns it or None. Its typed part is in the line again."""
        piece = self._session.draft.undo()
        if piece is None:
            return None
        self.put_back(as_typed(piece.typed.removesuffix("\n")))
        self._autosave.undone(self._typed)
        self.sync()
        return piece.text

    # Passages

    @property
    def is_written_on(self) -> bool:
        """Whether the model is writing a passage."""
        return self.writer.passage is not None

    def sample(self, characters: int) -> None:
        """Lets the model write a passage that is shown but not added to the text."""
        self.writer.begin("", most=characters, kept=False)

    @property
    def unfinished(self) -> StyleAndTextTuples:
        """The part of the passage that is not in the scrollback yet, and the lines that wait for its end."""
        passage = self.writer.passage
        if passage is None:
            return []
        drawn: StyleAndTextTuples = []
        if passage.unfinished:
            drawn += unfinished(passage.unfinished, begins=passage.kept and not passage.begun)
        for line, _ in self._ahead:
            drawn += [("", "\n" if drawn else ""), *unfinished(line.shown, begins=True)]
        return drawn

    def _print_lines(self, lines: str, passage: Continuation, first: bool) -> None:
        self._show(committed(lines) if first and passage.kept else [("", indented(lines))])

    def _passage_grown(self) -> None:
        self.sync()
        self._session.changed()

    def _passage_finished(self, passage: Continuation) -> None:
        """If the passage broke off within a line, you can continue that line, unless you typed another."""
        left, begun = passage.unfinished, passage.begun
        if passage.kept:
            whole = bool(self._ahead or (self.line and passage.written))
            piece, rest = passage.finished(whole=whole)
            if piece is not None:
                self._session.add(piece)
                self._autosave.added(piece, as_typed(rest) + self._typed)
            self.put_back(as_typed(rest))
            left = "" if rest else left
        if left:
            self._print_lines(left, passage, not begun)
        while self._ahead and self.writer.passage is None:
            line, act = self._ahead.pop(0)
            if self._echoed:
                self._show(committed(line.shown))  # again, because it was typed within the passage
            act(line)
        self._session.ask_again()  # the passage may have superseded a ghost
        self.sync()
        self._session.changed()

    # What happens

    def _in_turn(self, act: Callable[[Line], None]) -> None:
        """Takes the line and calls `act` with it: now, or after the passage being written."""
        line = Line(self.line, self.text)
        writing = self.writer.passage is not None
        if writing and not line.shown:
            return
        self._session.notice = ""
        if len(line.shown) <= HISTORY_CHARS:
            self._buffer.remember(as_typed(line.shown) if self._as_it_is else line.shown)
        unkept = self._session.notice
        self._buffer.reset()  # this changes the text, and so removes a notice
        self._session.notice = unkept
        self._length, self._pasted = 0, ""
        if writing:
            self._ahead.append((line, act))
        else:
            act(line)
        self.sync()

    def _enter(self, line: Line) -> None:
        if not self._echoed:
            self._show(committed(line.shown))
        if line.text is None:
            self._command(line.shown)
            return
        self._session.tally.typed += 1  # the newline
        self._autosave.added(self._session.commit(line.text), self._typed)
        if line.text == line.shown and line.text.startswith("/") and not line.text.startswith("//"):
            from charrepl.commands.commands import taken_for_text

            self._session.tell(taken_for_text(line.text))

    def _write_on(self, line: Line) -> None:
        self.writer.begin(line.text or "", most=MOST_CHARS, kept=True)

    def _text_changed(self, buffer: Buffer) -> None:
        if self._length is not None and len(buffer.text) == self._length + 1:
            self._session.tally.typed += 1
        self._length = len(buffer.text)
        self._session.notice = ""
        if buffer.text:
            self._session.untouched = False
        self.sync()
