"""A program in a real pseudo-terminal, its screen read by a terminal emulator (pyte)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

from tests.waiting import DEADLINE_S

# How long keys wait for a program to read those before them.
READING_S = 5.0

# The last that a frame with anything drawn in it sends, but for attributes: lines wrap again.
_FRAME_END = b"\x1b[?7h"

# Makes its standard input its controlling terminal, then becomes the program. A terminal's shell starts
# its programs with SIGINT in force, but what runs in the background, tests too perhaps, ignores it.
_IN_TERMINAL = """\
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


# What is not typed is grey where there are colours, as `charrepl.terminal.colours` has it; [5, 241] is
# prompt_toolkit's own.
_GREYS = ([5, 245], [5, 242], [5, 241], [2, 138, 138, 138], [2, 108, 108, 108])


class Emulator(pyte.HistoryScreen):
    """The emulator, which knows nothing of faint characters: they blink instead, as nothing else does.

    So do those that are grey instead.
    """

    def select_graphic_rendition(self, *attributes: int, **more: bool) -> None:
        if more:
            return  # Vim's "\x1b[>4;2m" is about keys
        shown, rest = [], list(attributes)
        while rest:
            code = rest.pop(0)
            if code in (38, 48) and rest:  # a colour by number
                count = 2 if rest[0] == 5 else 4
                shown += [code, *rest[:count], *([5] if code == 38 and rest[:count] in _GREYS else [])]
                del rest[:count]
            else:
                shown += {2: [5], 22: [22, 25]}.get(code, [code])
        super().select_graphic_rendition(*shown)


class Screen:
    """`command` running in a terminal of `columns` x `rows`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        columns: int = 80,
        rows: int = 24,
        emulator: type[Emulator] = Emulator,
    ) -> None:
        self._screen = emulator(columns, rows, history=1000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""  # everything the program wrote
        self._look: Callable[[Screen], object] | None = None
        self._closely = False
        self._fd, self._terminal = pty.openpty()
        self.resize(columns, rows)
        # Not pty.fork: in a process that has used JAX a fork may never come back.
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _IN_TERMINAL, *command],
            env=dict(env),
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.exit_code is None:
            self._process.kill()
            self._process.wait()
        os.close(self._fd)
        os.close(self._terminal)

    @property
    def exit_code(self) -> int | None:
        """Of the program; None while it runs."""
        return self._process.poll()

    def type(self, keys: str) -> None:
        """Sends keys as a person types them: what comes after Enter or Tab, once those were read.

        Text that came with them at once would be a paste.
        """
        for run in re.findall(r"[^\r\n\t]*[\r\n\t]*", keys):
            if run:
                self._wait_until_read()
                self.send(run)

    def send(self, data: str | bytes) -> None:
        """Sends what a terminal might, as one write."""
        data = data if isinstance(data, bytes) else data.encode()
        while data:
            # A terminal takes some kilobytes at a time, while the program may be writing itself.
            _, writable, _ = select.select([], [self._fd], [], 0.1)
            if writable:
                data = data[os.write(self._fd, data[:1024]) :]
            self._read(0)

    def hang_up(self) -> None:
        """Has the terminal go, as one does whose window is closed."""
        os.close(self._fd)
        self._fd = os.open(os.devnull, os.O_RDWR)

    @property
    def unread(self) -> bool:
        """Whether there is something that was sent and that the program has not read."""
        return bool(select.select([self._terminal], [], [], 0)[0])

    def _wait_until_read(self) -> None:
        """Returns once the program has read what was sent, or has ended, or does not read for long."""
        until = time.monotonic() + READING_S
        while self.unread and time.monotonic() < until and self.exit_code is None:
            self._read(0.001)

    def resize(self, columns: int, rows: int) -> None:
        """Changes the size of the terminal."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    @contextlib.contextmanager
    def watched(self, look: Callable[[Screen], object], *, closely: bool = False) -> Iterator[None]:
        """Calls `look` after each frame drawn meanwhile; `closely` after each byte, as a terminal might."""
        self._look, self._closely = look, closely
        try:
            yield
        finally:
            self._look = None

    def wait_for(self, what: str | Callable[[Screen], object]) -> Self:
        """Returns once `what` is on the screen, or true of it. Raises AssertionError if it never is."""
        deadline = time.monotonic() + DEADLINE_S
        holds = (lambda screen: what in screen.text) if isinstance(what, str) else what
        while not holds(self):
            assert time.monotonic() < deadline, f"never saw {what!r} in:\n{self.text}"
            alive = self._read(0.05)
            if not alive:
                assert holds(self), f"ended without {what!r}:\n{self.text}"
        return self

    def take_in(self, seconds: float) -> None:
        """Takes in whatever the program writes for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._read(left):
            pass

    def wait_for_exit(self) -> int:
        """The exit code, once the program has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(0.05):
            assert time.monotonic() < deadline, f"did not end:\n{self.text}"
        return self._process.wait(DEADLINE_S)

    @property
    def lines(self) -> list[str]:
        """The rows on the screen, without trailing space and empty rows at the end."""
        rows = [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def rows(self) -> list[str]:
        """All rows on the screen, to their ends."""
        return list(self._screen.display)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def scrollback(self) -> str:
        """What has scrolled off and what is on the screen."""
        columns = self._screen.columns
        above = ["".join(row[x].data for x in range(columns)).rstrip() for row in self._screen.history.top]
        return "\n".join([*above, *self.lines])

    @property
    def ghost(self) -> str:
        """What is faint from the cursor on, rows apart by a newline, without the mark of an alternative."""
        rows: list[str] = []
        x, y = self.cursor
        filled = False  # the row above, to its end
        for number in range(y, self._screen.lines):
            cells = self._screen.buffer[number]
            faint = [column for column in range(self._screen.columns) if cells[column].blink]
            if number == y:
                # Spaces are not always drawn anew, so that their own attributes tell nothing.
                faint = [column for column in faint if column >= x]
                start = x
            elif not faint or (faint[0] < 2 and not filled):
                break  # the toolbar, which stands at the edge
            else:
                start = faint[0]
            if faint:
                rows.append("".join(cells[column].data for column in range(start, faint[-1] + 1)))
            filled = bool(faint) and faint[-1] >= self._screen.columns - 2
        return re.sub(r" \(\d/\d\)\Z", "", "\n".join(rows))

    def drawn(self, row: int, attribute: str) -> str:
        """What of a row has an attribute, such as `underscore` or `italics`."""
        cells = self._screen.buffer[row]
        columns = range(self._screen.columns)
        return "".join(cells[column].data for column in columns if getattr(cells[column], attribute))

    def cell(self, row: int, column: int) -> pyte.screens.Char:
        """A character and its attributes."""
        return self._screen.buffer[row][column]

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row, from 0."""
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def attributes(self) -> list[object]:
        """Of the terminal, as termios has them."""
        return list(termios.tcgetattr(self._fd))

    @property
    def before_cursor(self) -> str:
        """The row of the cursor up to it, without the prompt."""
        x, y = self.cursor
        cells = self._screen.buffer[y]
        return "".join(cells[column].data for column in range(2, x))

    @property
    def up_to_cursor(self) -> str:
        """The row of the cursor up to it."""
        x, y = self.cursor
        return self.rows[y][:x]

    def wait_for_line(self, line: str, *, before: str) -> Self:
        """Returns once `line` is on the screen, and the cursor after `before`: a ghost is beyond it."""
        return self.wait_for(lambda screen: line in screen.text and screen.up_to_cursor == before)

    def _read(self, timeout_s: float) -> bool:
        """Takes in what the program wrote. False once it has closed the terminal."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return self.exit_code is None
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: the other side is closed
            data = b""
        if not data:
            return False
        self.written += data
        if self._look is None:
            self._stream.feed(data)
            return True
        start = len(self.written) - len(data)
        for end in range(start + 1, len(self.written) + 1):
            # A read may end within a frame: what is there by then is not what was meant to be seen.
            complete = self._closely or self.written.endswith(_FRAME_END, 0, end)
            if complete or end == len(self.written):
                self._stream.feed(self.written[start:end])
                start = end
            if complete:
                self._look(self)
        return True
