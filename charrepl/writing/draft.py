"""The draft: the text so far, as the pieces it was made of. Knows no terminal, file or daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from charrepl.wire.context_window import window_start

if TYPE_CHECKING:
    from charrepl.files.documents import Document


class Piece(NamedTuple):
    """What was added in one step: what was typed, and what the model wrote after it."""

    typed: str
    written: str = ""

    @property
    def text(self) -> str:
        """Both."""
        return self.typed + self.written


class Draft:
    """The text that the line being typed continues.

    `opened` is the text before the first piece; undo does not reach it. `saved` is what is in `file`, the
    writer's own file.
    """

    def __init__(
        self,
        opened: str = "",
        pieces: Sequence[Piece] = (),
        *,
        saved: str = "",
        file: Document | None = None,
    ) -> None:
        self.opened = opened
        self.pieces = list(pieces)
        self.text = opened + "".join(piece.text for piece in pieces)
        self.saved = saved
        self.file = file
        # No window of a text as long as this one or longer begins before it.
        self.base = window_start(len(opened))

    @property
    def tail(self) -> str:
        """The text from `base` on: all that a model may read. It is short, even if the text is a book."""
        return self.text[self.base :]

    @property
    def unsaved(self) -> bool:
        """Whether there is text that is not in the writer's own file."""
        return bool(self.text) and self.text != self.saved

    def add(self, piece: Piece) -> None:
        """Adds a piece at the end."""
        self.pieces.append(piece)
        self.text += piece.text

    def undo(self) -> Piece | None:
        """Takes back the last piece and returns it; None if there is none."""
        if not self.pieces:
            return None
        piece = self.pieces.pop()
        self.text = self.text[: len(self.text) - len(piece.text)]
        return piece


def split(text: str) -> tuple[str, str]:
    """The complete lines of a text, and the unfinished line at its end."""
    cut = text.rfind("\n") + 1
    return text[:cut], text[cut:]


def last_lines(text: str, count: int) -> str:
    """The last lines of a text. An unfinished line at its end counts."""
    cut = len(text) - text.endswith("\n")
    for _ in range(count):
        cut = text.rfind("\n", 0, max(0, cut))
        if cut < 0:
            return text
    return text[cut + 1 :]


def whole_line(line: str) -> str:
    """A line as it goes into the text: with a newline at its end, if it has none."""
    return line if line.endswith("\n") else line + "\n"
