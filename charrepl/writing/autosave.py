"""Autosave: saves the text and the line to a journal as they change, and never delays a key.

A change of the line being typed is written to the file a quarter of a second later. From then on it
survives the death of this process, but not a power failure. An added line or passage is written
immediately, and synced to the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError, reason
from charrepl.writing.draft import Draft, Piece

if TYPE_CHECKING:  # json and the journal are imported only when there is something to save
    from concurrent.futures import Future, ThreadPoolExecutor

    from charrepl.writing.journal import Journal, Record

# Time from the first unsaved key to the write: half of what a crash may cost.
DELAY_S = 0.25
# How long quitting waits for the disk.
CLOSING_S = 2.0


class Autosave:
    """Saves a draft and its line in a journal in `directory()`, created when there is something to save.

    If that fails, `warn` gets one line. All methods return immediately; `close` takes a moment.
    """

    def __init__(
        self,
        draft: Draft,
        directory: Callable[[], Path],
        *,
        warn: Callable[[str], None],
        journal: Journal | None = None,
    ) -> None:
        self._directory = directory
        self._warn = warn
        self._journal = journal
        self._executor: ThreadPoolExecutor | None = None
        self._draft = draft
        self._line = ""  # as it is now
        self._kept = ""  # as it is in the journal
        self._timer: asyncio.TimerHandle | None = None
        self._failed = threading.Event()  # set while the journal lacks something that should be in it
        self._last: Future[None] | None = None

    def begin(self, draft: Draft, line: str) -> None:
        """Saves the changes of `draft` from now on. The journal contains it already."""
        self._draft = draft
        self._line = self._kept = line

    def replaced(self, draft: Draft, line: str) -> None:
        """Saves another draft from now on, in a new journal."""
        self._leave()
        self._draft, self._line = draft, line
        self._keep_everything(sync=True)

    def added(self, piece: Piece, line: str) -> None:
        """A piece was added to the draft. `line` was typed after it."""
        self._keep_change({"add": list(piece)}, line)

    def undone(self, line: str) -> None:
        """The draft's last piece was taken back. What was typed of it is in the line."""
        self._keep_change({"undo": 1}, line)

    def saved(self) -> None:
        """The draft was saved in its file."""
        from charrepl.writing.journal import filed

        self._keep(filed(self._draft), sync=True)

    def line_changed(self, line: str) -> None:
        """The line being typed has changed."""
        if line == self._line:
            return
        self._line = line
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self._flush)

    async def close(self) -> None:
        """Saves what is not saved yet, and closes the journal."""
        self._leave()
        if self._last is not None:
            await asyncio.wait([asyncio.wrap_future(self._last)], timeout=CLOSING_S)
        if self._executor is not None:
            self._executor.shutdown(wait=False)

    @property
    def place(self) -> Path | None:
        """The journal's file, if there is one."""
        return self._journal.path if self._journal is not None else None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._cancel_timer()
        if self._line != self._kept:
            from charrepl.writing.journal import edited

            record = edited(self._kept, self._line)
            self._kept = self._line
            self._keep(record, sync=False)

    def _keep_change(self, record: Record, line: str) -> None:
        self._line = self._kept = line
        self._cancel_timer()
        self._keep({**record, "line": line} if line else record, sync=True)

    def _keep(self, record: Record, *, sync: bool) -> None:
        if self._failed.is_set():
            self._keep_everything(sync=sync)
        else:
            self._run(lambda: self._write(record, sync=sync, first=False))

    def _keep_everything(self, *, sync: bool) -> None:
        from charrepl.writing.journal import State, everything

        record = everything(State(self._draft, self._line))
        self._kept = self._line
        self._run(lambda: self._write(record, sync=sync, first=True))

    def _leave(self) -> None:
        self._flush()
        empty = not (self._draft.text or self._line)
        if self._executor is not None or self._journal is not None:
            self._run(lambda: self._close_journal(remove=empty))

    def _run(self, work: Callable[[], None]) -> None:
        """Runs `work` in a thread, because a disk may be slow, and after all earlier work."""
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(1, thread_name_prefix="autosave")
        self._last = self._executor.submit(work)

    # In that thread

    def _write(self, record: Record, *, sync: bool, first: bool) -> None:
        if self._failed.is_set() and not first:
            return  # this change builds on one that is missing
        from charrepl.writing.journal import Journal

        try:
            if self._journal is None:
                self._journal = Journal.create(self._directory())
            elif self._failed.is_set():
                self._journal.mend()
            self._journal.append(record, sync=sync)
            self._failed.clear()
        except (OSError, CharreplError) as error:
            if not self._failed.is_set():
                self._failed.set()
                place = "" if isinstance(error, CharreplError) else f" in {self._directory()}"
                self._warn(f"not autosaved{place}: {reason(error)}; /save FILE keeps the text")

    def _close_journal(self, *, remove: bool) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            with contextlib.suppress(OSError):
                journal.close(remove=remove)
