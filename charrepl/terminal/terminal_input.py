"""Terminal input: the keys and pastes that a terminal sends, for the prompt and for `--plain`.

Whatever else a terminal sends is dropped: reports of focus or colours, and keys without a meaning here.
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
# How long we wait for the rest of a paste or of a terminal's answer. A poor line may stall for longer. What
# comes after that is recognised as a paste by the constants below.
PATIENCE_S = 0.5
# So many characters extend the wait: more than anyone types in that time, fewer than the slowest line brings.
STREAM_CHARS = 16
# Characters that come so soon after a part of a paste are another part: a machine with much to do may take as
# long between two reads. A single one is a key, but for the newline of a return that came before it.
GAP_S = 0.1
# Nobody types so many characters in one read.
LONG_CHARS = 64

# A return that is a newline by itself. For a return at the end this is not known yet.
_RETURN_ALONE = re.compile(r"\r[^\n]")
_OTHER_CONTROLS = re.compile("([\x00-\x08\x0b\x0c\x0e-\x1f\x7f])")


def is_paste(run: str) -> bool:
    """Whether characters that came in one read were pasted, in a terminal that does not mark pastes.

    Over a slow line, typed keys come together as well: a line and its Enter, a word and the Tab after it, an
    Enter and what comes next. But text on both sides of a newline, or after a tab, is a paste.
    """
    core = run.lstrip("\r\n").rstrip("\r\n\t")
    return len(core) >= LONG_CHARS or any(char in core for char in "\t\r\n")


class EightBitMode(raw_mode):
    """Raw mode in which all eight bits of a byte are read. Some consoles read only seven by default."""

    @classmethod
    def _patch_iflag(cls, attrs: int) -> int:
        return super()._patch_iflag(attrs) & ~termios.ISTRIP


class TerminalInput(Vt100Input):
    """A terminal's input. With `whole_lines`, each read is a line that ends in Enter, as Emacs sends it."""

    def __init__(self, stdin: TextIO, *, whole_lines: bool = False) -> None:
        super().__init__(stdin)
        if codecs.lookup(stdin.encoding).name == "ascii":  # other characters must not get lost
            self.stdin_reader = PosixStdinReader(self.fileno(), encoding="utf-8")
        self.whole_lines = whole_lines
        self._sequences = EscapeSequences()
        self._wake: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0  # when what is unfinished is given up
        self._streamed = 0  # characters that came since the deadline was set
        self._pasted_at = 0.0  # when the last part of an unmarked paste came
        self._after_return = False  # whether that part ended in a carriage return
        self._returns_alone = False  # whether a carriage return of that paste had no newline after it
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
        """The keys that have come, and those that are certain now because nothing followed them."""
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
        """The keys that are certain because nothing followed immediately: a lone Esc."""
        tokens = self._sequences.flush()
        self._wait()
        return self._pressed(tokens, now=0.0, one_read=False)

    def take_paste(self) -> str:
        """What has come of a paste without an end. Called when the session ends."""
        self._stop_waiting()
        tokens = self._sequences.give_up() if self._sequences.pasting else []
        return "".join(token.text for token in tokens)

    def _is_key(self, data: str) -> bool:
        """Whether this is a key pressed in the middle of something: a control that is in no paste."""
        if data == "\x1b":
            return self._sequences.pasting  # nothing is lost if this was the beginning of the paste's end
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
        """Arranges that what is unfinished is given up at its deadline."""
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
                    more = len(part) > 1 or (part == "\n" and self._after_return)
                    pasted = one_read and (is_paste(part) or (going_on and more))
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
            text = text.replace("\r", "\n")  # as in GNU screen, which sends both for an empty line
        elif going_on and self._after_return:
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        enter = self.whole_lines and text.endswith(("\r", "\n"))
        if enter:
            text = text.removesuffix("\n").removesuffix("\r")
        return [KeyPress(Keys.BracketedPaste, text), *_typed("\r" * enter)]


def _typed(text: str) -> list[KeyPress]:
    return [KeyPress(character(char), char) for char in text.replace("\r\n", "\r")]
