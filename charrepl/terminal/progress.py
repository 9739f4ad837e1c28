"""Progress on standard error: drawn at the foot of a terminal, or written to a log now and then."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import IO, Self, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charrepl.system.ignored_signals import heeded
from charrepl.system.standard_error import StandardError
from charrepl.terminal.word_wrap import can_draw, is_terminal, terminal_size, wrapped
from charrepl.text.control_characters import printable

_BAR, _SHORTEST_BAR = 24, 6  # characters
_FIRST_S, _MOST_S = 15.0, 300.0  # between two lines in a log; CIs often end a job that is silent for 10 min
_PART = 1 / 8  # of the time so far
_LAST_S = 2.0  # how long a program that was told to end waits until its output is written


def duration(seconds: float) -> str:
    """`52 s`, `3 min 20 s`, `2 h 05 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def bar(done: float, total: float | None, words: str, *, width: int) -> RenderableType:
    """A bar and words behind it, in one line. Where there is little room, only the words, cut off."""
    text = Text(words, no_wrap=True, overflow="crop")
    room = min(_BAR, width - text.cell_len - 2)
    if room < _SHORTEST_BAR:
        text.truncate(width)
        return text
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(ProgressBar(total=total, completed=done, width=room), text)
    return grid


class LogInterval:
    """Decides when a log gets another line: more and more rarely, but every five minutes at least."""

    def __init__(self, now: float) -> None:
        self._began = self._told = now

    def told(self, now: float) -> None:
        """Records that the log got a line now."""
        self._told = now

    def is_due(self, now: float) -> bool:
        """Whether the log should get a line now."""
        return now - self._told >= min(max(_FIRST_S, _PART * (now - self._began)), _MOST_S)


class Display:
    """Messages go above. Below them is what is drawn, such as a bar, which the next drawing replaces.

    No method waits for the terminal, and none fails: see `standard_error.py`. The cursor is never hidden, so
    it is there however the program stops or ends. `draws` and `size` are detected if you do not give them.
    Any thread may use it.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        draws: bool | None = None,
        size: Callable[[], tuple[int, int]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = StandardError(stream)
        self.draws = can_draw(stream, os.environ) if draws is None else draws
        self._to_terminal = self.draws or is_terminal(stream)
        self._size = size or (lambda: terminal_size(self._out.descriptor))
        self._console = Console(
            file=cast(IO[str], self._out),  # for its encoding
            force_terminal=self.draws,
            color_system="auto" if self.draws else None,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._drawn: list[int] = []  # the widths of the lines below...
        self._below = ""  # ...and the lines as they were sent
        self._filled = False  # whether they are only there until there is more to see
        self._now = now
        self._log = LogInterval(now())
        self._shown_at = now()
        self._lock = threading.RLock()  # reentrant, because a signal may arrive during drawing

    def __enter__(self) -> Self:
        self._before = None
        if self.draws and heeded([signal.SIGCONT]):
            self._before = signal.signal(signal.SIGCONT, self._continued)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.erase()
        if self._before is not None:
            signal.signal(signal.SIGCONT, self._before)
        self.drain(_LAST_S if error is not None else None)

    def drain(self, timeout_s: float | None = None) -> None:
        """Returns once everything is written or cannot be written, or after that time."""
        self._out.drain(timeout_s)

    @property
    def room(self) -> tuple[int, int]:
        """Columns and lines to draw in. Without the last column, at which a terminal may wrap."""
        columns, lines = self._size()
        return max(1, columns - 1), max(1, lines - 1)

    @property
    def ascii_only(self) -> bool:
        """Whether only ASCII can be shown."""
        return self._console.options.ascii_only

    def say(self, text: str) -> None:
        """Prints a message, wrapped on a terminal."""
        text = printable(text) if self._to_terminal else text
        self._print(wrapped(text, self._size()[0]) if self.draws else text)

    def say_lines(self, text: str) -> None:
        """Prints text as it is."""
        self._print(text)

    def now_and_then(self, line: Callable[[], str]) -> None:
        """Prints a line in a log if it got none for a while."""
        with self._lock:
            if not self.draws and self._log.is_due(self._now()):
                self._print(line())

    def _print(self, text: str) -> None:
        with self._lock:
            self._shown_at = self._now()
            self._log.told(self._shown_at)
            below = self._below
            self.erase()
            self._out.write(text + "\n")
            if below and self._in_foreground():
                self._put(below)

    def draw(self, drawn: RenderableType) -> None:
        """Replaces what was drawn last.

        Draws nothing while the terminal accepts nothing (Ctrl-S), or while a shell uses it.
        """
        with self._lock:
            self._shown_at = self._now()
            self._draw(drawn)
            self._filled = False

    def fill(self, drawn: RenderableType) -> None:
        """Draws where nothing is drawn. The next `draw` replaces it."""
        with self._lock:
            if self._filled or not self._drawn:
                self._draw(drawn)
                self._filled = True

    @property
    def silent_s(self) -> float:
        """For how long nothing new was shown."""
        return self._now() - self._shown_at

    def _draw(self, drawn: RenderableType) -> None:
        if not self.draws or self._out.behind:
            return
        if not self._in_foreground():
            self._forget()
            return
        self._console.size = self.room
        with self._console.capture() as captured:
            self._console.print(drawn)
        self._put("\n".join(captured.get().rstrip("\n").split("\n")[: self.room[1]]))

    def erase(self) -> None:
        """Takes away what was drawn."""
        with self._lock:
            if self._drawn and self._in_foreground():
                self._out.write(self._up() + "\x1b[J")
            self._forget()

    def _put(self, text: str) -> None:
        lines = text.split("\n")
        # Each line is drawn over the old one, rather than erased first, so that nothing flickers.
        # The cursor stays below, where the echo of a key (^Z) destroys nothing.
        self._out.write(self._up() + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._below = text
        self._drawn = [Text.from_ansi(line).cell_len for line in lines]

    def _up(self) -> str:
        """Moves to the beginning of what was drawn."""
        if not self._drawn:
            return ""
        rows = len(self._drawn)
        columns = self._size()[0]
        if max(self._drawn) > columns:  # made narrower since
            from charrepl.terminal.reflow import reflows

            if reflows(os.environ):
                rows = sum(max(1, -(-width // columns)) for width in self._drawn)
        return f"\r\x1b[{rows}A"

    def _forget(self) -> None:
        self._drawn, self._below = [], ""

    def _continued(self, number: int, frame: FrameType | None) -> None:
        # The shell has written in between: what was drawn is no longer in the same place.
        self._forget()

    def _in_foreground(self) -> bool:
        """Whether we may draw on the terminal. After Ctrl-Z and `bg` it is the shell's."""
        if self._out.descriptor is None:
            return True
        try:
            return os.tcgetpgrp(self._out.descriptor) == os.getpgrp()
        except OSError:
            return True  # not the terminal that controls our jobs, or no terminal any more
