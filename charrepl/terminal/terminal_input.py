"""Terminal input: the keys and pastes that a terminal sends, for the prompt and for `--plain`.

What else a terminal says, of focus, colours, keys that are no keys here, is nobody's text: it is swallowed.
"""

from __future__ import annotations

import array
import asyncio
import codecs
import contextlib
import fcntl
import os
import re
import select
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TextIO

from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from charrepl.terminal.escape_sequences import ESCAPE, PASTE, TEXT, EscapeSequences, Token
from charrepl.terminal.key_codes import character, data_of, keys_of

READ_BYTES = 65536
# How long the rest of a paste, or of an answer, is waited for. A stall on a poor line may be longer: what
# comes after it is then a paste in several keys, below.
PATIENCE_S = 0.5
# So much keeps a paste going: more than anybody types in that time, and less than the slowest line brings.
STREAM_CHARS = 16
# What comes so soon after a part of a paste is another part.
GAP_S = 0.02
# Nobody types so much at once.
LONG_CHARS = 64

# A return that is a newline by itself; of one at the end that is not known.
_RETURN_ALONE = re.compile(r"\r[^\n]")
_OTHER_CONTROLS = re.compile("([\x00-\x08\x0b\x0c\x0e-\x1f\x7f])")


def is_paste(run: str) -> bool:
    """Whether characters that came in one read were pasted, in a terminal that does not tell.

    Typed keys come together as well, over a slow line: a line and its Enter, a word and the Tab behind
    it, an Enter and what comes next. Text on both sides of a newline, or behind a tab, is a paste.
    """
    core = run.lstrip("\r\n").rstrip("\r\n\t")
    return len(core) >= LONG_CHARS or any(char in core for char in "\t\r\n")


class EightBitMode(raw_mode):
    """Raw mode in which all bits of a byte are read, as a text needs; some consoles begin with seven."""

    @classmethod
    def _patch_iflag(cls, attrs: int) -> int:
        return super()._patch_iflag(attrs) & ~termios.ISTRIP


class TerminalInput(Vt100Input):
    """A terminal's input. With `whole_lines`, what is read ends in the Enter that sent it, as from Emacs."""

    def __init__(self, stdin: TextIO, *, whole_lines: bool = False) -> None:
        super().__init__(stdin)
        if codecs.lookup(stdin.encoding).name == "ascii":  # what is beyond it is still to be kept
            self.stdin_reader = PosixStdinReader(self.fileno(), encoding="utf-8")
        self.whole_lines = whole_lines
        self._sequences = EscapeSequences()
        self._wake: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0  # of what is unfinished
        self._streamed = 0  # characters of it since that was set
        self._pasted_at = 0.0  # when the last part of a paste came that was not marked as one
        self._after_return = False  # whether that part ended in a carriage return
        self._returns_alone = False  # whether one of that paste had no newline behind it
        self._typed_ahead = 0  # bytes that were there before the prompt was

    def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
        self._wake = input_ready_callback
        waiting = array.array("i", [0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.fileno(), termios.FIONREAD, waiting)
        self._typed_ahead = waiting[0]
        return super().attach(input_ready_callback)

    def raw_mode(self) -> AbstractContextManager[None]:
        return EightBitMode(self.fileno())

    def read_keys(self) -> list[KeyPress]:
        """The keys that have come; also those that are certain now because nothing more did."""
        now = asyncio.get_running_loop().time()
        typed_ahead = self._typed_ahead > 0
        data = self._read(min(self._typed_ahead, READ_BYTES) if typed_ahead else READ_BYTES)
        before = self._sequences.unfinished
        tokens = []
        if before and (now >= self._deadline or self._is_key(data)):
            tokens += self._sequences.give_up()
            before = False
        tokens += self._sequences.feed(data)
        if self.closed:
            tokens += self._sequences.give_up()
        self._streamed += len(data)
        if self._sequences.unfinished and (not before or self._streamed >= STREAM_CHARS):
            self._streamed, self._deadline = 0, now + PATIENCE_S
        self._wait()
        return self._pressed(tokens, now=now, one_read=not typed_ahead)

    def flush_keys(self) -> list[KeyPress]:
        """The keys that are certain because nothing more came at once: Esc, alone."""
        tokens = self._sequences.flush()
        self._wait()
        return self._pressed(tokens, now=0.0, one_read=False)

    def take_paste(self) -> str:
        """What has come of a paste without an end, as the session ends."""
        self._stop_waiting()
        tokens = self._sequences.give_up() if self._sequences.pasting else []
        return "".join(token.text for token in tokens)

    def _is_key(self, data: str) -> bool:
        """Whether this is a key pressed in the middle of something: a control that is in no paste."""
        if data == "\x1b":
            return self._sequences.pasting  # if it begins the end, that comes to nothing
        return len(data) == 1 and (data < " " or data == "\x7f") and data not in "\t\n\r\x07"

    def _read(self, count: int) -> str:
        data = b""
        try:
            if self.closed or not select.select([self.fileno()], [], [], 0)[0]:
                return ""
            data = os.read(self.fileno(), count)
        except (BlockingIOError, InterruptedError):
            return ""
        except OSError:
            pass  # the terminal has gone
        self._typed_ahead = max(0, self._typed_ahead - len(data))
        self.stdin_reader.closed = not data
        return self.stdin_reader._stdin_decoder.decode(data, final=not data)

    def _wait(self) -> None:
        """Has what is unfinished given up when its time has come."""
        self._stop_waiting()
        if self._sequences.unfinished:
            self._timer = asyncio.get_running_loop().call_at(self._deadline, self._wake)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pressed(self, tokens: list[Token], *, now: float, one_read: bool) -> list[KeyPress]:
        pressed: list[KeyPress] = []
        going_on = one_read and now < self._pasted_at + GAP_S and [token.kind for token in tokens] == [TEXT]
        alt = False
        for kind, text in tokens:
            if kind == TEXT:
                if alt:
                    pressed.append(KeyPress(character(text[0]), text[0]))
                for part in _OTHER_CONTROLS.split(text[alt:]):
                    pasted = one_read and (is_paste(part) or (going_on and len(part) > 1))
                    pressed += self._pasted(part, now) if pasted else _typed(part)
            elif kind == PASTE:
                pressed.append(KeyPress(Keys.BracketedPaste, text))
            elif kind == ESCAPE:
                pressed.append(KeyPress(Keys.Escape, text))
            else:
                pressed += [KeyPress(key, data_of(key, text)) for key in keys_of(text)]
            alt = kind == ESCAPE
        return pressed

    def _pasted(self, text: str, now: float) -> list[KeyPress]:
        going_on, self._pasted_at = now < self._pasted_at + GAP_S, now
        self._returns_alone = bool(_RETURN_ALONE.search(text)) or (going_on and self._returns_alone)
        if self._returns_alone:
            text = text.replace("\r", "\n")  # as GNU screen has it, which sends an empty line as the two
        elif going_on and self._after_return:
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        enter = self.whole_lines and text.endswith(("\r", "\n"))
        if enter:
            text = text.removesuffix("\n").removesuffix("\r")
        return [KeyPress(Keys.BracketedPaste, text), *_typed("\r" * enter)]


def _typed(text: str) -> list[KeyPress]:
    return [KeyPress(character(char), char) for char in text.replace("\r\n", "\r")]
