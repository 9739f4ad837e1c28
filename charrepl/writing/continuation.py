"""A continuation: a passage that the model writes, in pieces, until it ends or is stopped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from charrepl.errors import CharreplError
from charrepl.writing.daemon_link import DaemonLink
from charrepl.writing.draft import Piece, split

# A piece is what may be computed in vain when a passage is stopped.
PIECE_CHARS = 64
# A speech that does not end is left off after so many characters.
MOST_CHARS = 2000
# Passages of the likeliest characters only would go in circles: where ghosts are greedy, they are not.
TEMPERATURE = 0.8

_SPEECH_END = re.compile(r"\S[^\n]*\n[^\S\n]*\n")


def speech_end(line: str, written: str) -> int | None:
    """How much of `written`, after the begun `line`, is there to the end of the speech or paragraph.

    It ends with the first empty line after something visible; None if that has not come.
    """
    found = _SPEECH_END.search(line + written)
    return found.end() - len(line) if found and found.end() > len(line) else None


async def write(
    link: DaemonLink, tail: str, base: int, *, most: int, temperature: float, seed: int, part: str
) -> AsyncIterator[str]:
    """Pieces of what the model writes after a text, `most` characters in all.

    It is asked for as ghosts are, a piece at a time, so that the daemon goes on from the carry it has,
    serves other writers in between, and has little to throw away when nobody asks for more.
    Raises CharreplError as the daemon says.
    """
    written = ""
    while len(written) < most:
        got = ""
        async for reply in link.complete(
            tail + written,
            base,
            max_chars=min(PIECE_CHARS, most - len(written)),
            stop="none",
            temperature=temperature or TEMPERATURE,
            seed=seed,
            part=part,
        ):
            text = getattr(reply, "text", "")  # a `superseded` has none
            if text.startswith(got) and len(text) > len(got):
                new, got = text[len(got) :], text
                yield new
        if not got:
            raise CharreplError("the model wrote nothing: try again")
        written += got


class Continuation:
    """A passage being written after a line that was typed, and how much of it is in the scrollback.

    `kept` ones become part of the text up to the end of the speech; others are only shown.
    """

    def __init__(self, typed: str, *, kept: bool) -> None:
        self.typed = typed
        self.kept = kept
        self.written = ""
        self.ended = False
        self._printed = 0  # characters of both

    def add(self, new: str) -> None:
        """Takes in what was written; what comes after the end of the speech is left off."""
        self.written += new
        if self.kept:
            end = speech_end(split(self.typed)[1], self.written)
            if end is not None:
                self.written = self.written[:end]
                self.ended = True

    @property
    def begun(self) -> bool:
        """Whether some of it is in the scrollback."""
        return self._printed > 0

    @property
    def unfinished(self) -> str:
        """What is not in the scrollback yet."""
        return (self.typed + self.written)[self._printed :]

    def print(self) -> str:
        """The whole lines that are to go to the scrollback now."""
        if "\n" not in self.written:  # as long as it can all go back to where it is typed
            return ""
        lines, _ = split(self.unfinished)
        self._printed += len(lines)
        return lines

    def finished(self, *, whole: bool) -> tuple[Piece | None, str]:
        """What becomes part of the text, and the line it broke off in the middle of.

        With `whole` that line is ended, and becomes part of the text too.
        """
        lines, rest = split(self.written)
        if whole and self.typed + self.written:
            return Piece(self.typed, self.written + ("\n" if rest or not self.written else "")), ""
        if not lines:
            return None, self.typed + rest
        return Piece(self.typed, lines), rest
