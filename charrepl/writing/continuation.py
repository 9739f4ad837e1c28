"""A continuation: a passage that the model writes, in pieces, until it ends or is stopped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from charrepl.errors import CharreplError
from charrepl.writing.daemon_link import DaemonLink
from charrepl.writing.draft import Piece, split

# Characters per request. When a passage is stopped, up to one piece was computed in vain.
PIECE_CHARS = 64
# A speech that does not end is cut off after so many characters.
MOST_CHARS = 2000
# A passage of only the likeliest characters would repeat itself. So this is used when ghosts are greedy.
TEMPERATURE = 0.8

_SPEECH_END = re.compile(r"\S[^\n]*\n[^\S\n]*\n")


def speech_end(line: str, written: str) -> int | None:
    """The length of `written`, after the begun `line`, up to the end of the speech or paragraph.

    It ends with the first empty line after something visible. None if that has not come yet.
    """
    found = _SPEECH_END.search(line + written)
    return found.end() - len(line) if found and found.end() > len(line) else None


async def write(
    link: DaemonLink, tail: str, base: int, *, most: int, temperature: float, seed: int, part: str
) -> AsyncIterator[str]:
    """Pieces of what the model writes after a text, `most` characters in total.

    It asks for one piece at a time, as for a ghost. So the daemon continues from the carry that it has,
    serves other writers in between, and wastes little when nobody asks for more.
    Raises CharreplError if the daemon answers with an error.
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
            text = getattr(reply, "text", "")  # a `superseded` reply has no text
            if text.startswith(got) and len(text) > len(got):
                new, got = text[len(got) :], text
                yield new
        if not got:
            raise CharreplError("the model wrote nothing: try again")
        written += got


class Continuation:
    """A passage being written after a typed line, and how much of both is in the scrollback.

    If it is `kept`, it becomes part of the text, up to the end of the speech. Otherwise it is only shown.
    """

    def __init__(self, typed: str, *, kept: bool) -> None:
        self.typed = typed
        self.kept = kept
        self.written = ""
        self.ended = False
        self._printed = 0  # characters of line and passage

    def add(self, new: str) -> None:
        """Adds what was written. What comes after the end of the speech is cut off."""
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
        """The complete lines that go to the scrollback now."""
        if "\n" not in self.written:  # then everything could still go back into the line being typed
            return ""
        lines, _ = split(self.unfinished)
        self._printed += len(lines)
        return lines

    def finished(self, *, whole: bool) -> tuple[Piece | None, str]:
        """What becomes part of the text, and the unfinished line at its end.

        With `whole`, that line is ended, and becomes part of the text too.
        """
        lines, rest = split(self.written)
        if whole and self.typed + self.written:
            return Piece(self.typed, self.written + ("\n" if rest or not self.written else "")), ""
        if not lines:
            return None, self.typed + rest
        return Piece(self.typed, lines), rest
