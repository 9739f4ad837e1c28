"""History: the lines of earlier sessions, in a private file. Never in the way of typing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory

from charrepl.cluster_buffer import ClusterBuffer
from charrepl.errors import reason


class LineHistory(FileHistory):
    """Lines kept in the file `place()` gives, opened only after the first paint.

    If it cannot be read or written, says so once through `warn` and remembers in memory. `warn`
    may be called from another thread.
    """

    def __init__(self, place: Callable[[], Path], *, warn: Callable[[str], None]) -> None:
        super().__init__("")
        self._place = place
        self._warn = warn
        self._usable = True

    async def load(self) -> AsyncGenerator[str, None]:
        """The lines, newest first. The file is read once, in a thread: it may be long."""
        if not self._loaded:
            earlier = await asyncio.to_thread(lambda: list(self.load_history_strings()))
            if not self._loaded:
                entered = self._loaded_strings  # meanwhile; the file may hold them already
                self._loaded_strings = earlier if earlier[: len(entered)] == entered else entered + earlier
                self._loaded = True
        for line in list(self._loaded_strings):
            yield line

    def known(self) -> list[str] | None:
        """The lines, oldest first, once the file is read."""
        return self.get_strings() if self._loaded else None

    def load_history_strings(self) -> Iterable[str]:
        try:
            self._open()
            return list(super().load_history_strings())
        except OSError as error:
            self._give_up(error)
            return []

    def store_string(self, string: str) -> None:
        if not self._usable:
            return
        try:
            self._open()
            super().store_string(string)
        except OSError as error:
            self._give_up(error)

    def _open(self) -> None:
        if self.filename:
            return
        path = self._place()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made here, because the base class would make it readable to others.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.filename = path

    def _give_up(self, error: OSError) -> None:
        if self._usable:
            self._usable = False
            self._warn(f"history is not kept: {error.filename or self._place()}: {reason(error)}")


class LineBuffer(ClusterBuffer):
    """A buffer that has its history again as soon as it is reset.

    The base class gets it back with the next paint, so that Up, close upon Enter, would find nothing.
    """

    history: LineHistory

    def reset(self, document: Document | None = None, append_to_history: bool = False) -> None:
        super().reset(document, append_to_history)
        self._filled = False
        self.fill()

    def fill(self) -> None:
        """Puts the lines of the history before the one being typed, once they are read."""
        earlier = self.history.known()
        if self._filled or earlier is None:
            return
        self._filled = True
        if earlier:
            at = self.cursor_position
            self._working_lines.extendleft(reversed(earlier))
            self.working_index = len(earlier)
            self.cursor_position = at

    def load_history_if_not_yet_loaded(self) -> None:
        if not self._filled:
            super().load_history_if_not_yet_loaded()
