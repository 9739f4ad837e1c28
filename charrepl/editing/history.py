"""History: the lines of earlier sessions, in a private file. It never delays typing.

The file has prompt_toolkit's format. It is only appended to, one entry in one write, so that several
prompts can share it.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import time
from collections.abc import Callable, Iterable
from operator import contains
from pathlib import Path

from prompt_toolkit.history import History

from charrepl.errors import reason

# Of a longer file, only the newest lines are read: about 400,000.
MOST_BYTES = 32 * 2**20
# Read at a time. A key that comes meanwhile waits for no more than this.
_BLOCK_BYTES = 65536
# Lines of a block; and a separator before each, which hardly any line contains.
BLOCK = 512
_END = "\0"
# Each row of an entry begins with a plus.
_ENTRY = re.compile(r"^(?:\+.*(?:\n|\Z))+", re.MULTILINE)


class Lines:
    """Lines, oldest first. You can only add to them. Searching them is fast.

    Each block of lines is also kept as one string, so that most lines need no look of their own.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.all: list[str] = []
        self._blocks: list[str] = []
        self.extend(lines)

    def extend(self, lines: Iterable[str]) -> None:
        """Adds lines at the end."""
        self.all.extend(lines)
        for start in range(len(self._blocks) * BLOCK, len(self.all) - BLOCK + 1, BLOCK):
            self._blocks.append(_END + _END.join(self.all[start : start + BLOCK]))

    def nearest(self, what: str, *, begins: bool, places: range) -> int | None:
        """The first of `places` whose line contains `what`, or begins with it; None if none does.

        `places` go up or down by one. Each must be the place of a line.
        """
        sought = _END + what if begins else what
        holds: Callable[[str, str], object] = str.startswith if begins else contains
        at, step = places.start, places.step
        while at in places:
            block = at // BLOCK
            end = (block + 1) * BLOCK if step > 0 else block * BLOCK - 1
            if block >= len(self._blocks) or sought in self._blocks[block]:
                here = range(at, end, step)
                found = next((i for i in here if i in places and holds(self.all[i], what)), None)
                if found is not None:
                    return found
            at = end
        return None


class LineHistory(History):
    """Lines that are kept in the file at `place()`. It is opened only after the first paint.

    If it cannot be read or written, says so once through `warn`, and keeps the lines in memory. `warn` may be
    called from another thread.
    """

    def __init__(self, place: Callable[[], Path], *, warn: Callable[[str], None]) -> None:
        super().__init__()
        self.lines = Lines()
        self.loaded = False  # whether the file's lines are among them
        self._reading: asyncio.Future[Lines] | None = None
        self._place = place
        self._warn = warn
        self._usable = True
        self._file: Path | None = None
        self._size = 0  # the file's size when it was opened: we already have the lines after that

    async def read(self) -> None:
        """Reads the file once, in a thread, because it may be long."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._read))
        earlier = await asyncio.shield(self._reading)
        if not self.loaded:
            earlier.extend(self.lines.all)
            self.lines, self.loaded = earlier, True

    def get_strings(self) -> list[str]:
        return self.lines.all

    def append_string(self, string: str) -> None:
        self.store_string(string)
        self.lines.extend([string])

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._read().all)

    def store_string(self, string: str) -> None:
        if not self._usable:
            return
        lines = "".join(f"+{line}\n" for line in string.split("\n"))
        entry = f"\n# {datetime.datetime.now()}\n{lines}".encode("utf-8", "replace")
        try:
            file = os.open(self._opened(), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(file, entry)
            finally:
                os.close(file)
        except OSError as error:
            self._give_up(error)

    def _read(self) -> Lines:
        lines: list[str] = []
        try:
            with self._opened().open("rb") as file:
                begin, end = max(0, self._size - MOST_BYTES), self._size
                file.seek(begin)
                rest = b""
                while begin and (row := file.readline()) and row != b"\n":
                    pass  # part of an entry that was cut
                while block := file.read(min(_BLOCK_BYTES, end - file.tell())):
                    rest += block
                    cut = rest.rfind(b"\n\n") + 1  # between two entries
                    lines += _entries(rest[:cut])
                    rest = rest[cut:]
                    time.sleep(0.001)  # a key may be waiting
                lines += _entries(rest)
        except OSError as error:
            self._give_up(error)
        return Lines(lines)

    def _opened(self) -> Path:
        if self._file is None:
            path = self._place()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(file).st_size
            os.close(file)
            self._file = path
        return self._file

    def _give_up(self, error: OSError) -> None:
        if self._usable:
            self._usable = False
            self._warn(f"history is not kept: {error.filename or self._place()}: {reason(error)}")


def _entries(data: bytes) -> list[str]:
    """The lines, of one or more rows, in a part of the file."""
    found = _ENTRY.findall(data.decode("utf-8", "replace"))
    return [entry.removesuffix("\n")[1:].replace("\n+", "\n") for entry in found]
