"""The host of a session at a terminal, however that is drawn: what `application.py` and `plain.py` share.

It is the `CommandHost` of the commands, and has the work in the background, and the end of it all.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.formatted_text import StyleAndTextTuples

from charrepl.editing.history import LineHistory
from charrepl.editing.line_buffer import LineBuffer
from charrepl.errors import CharreplError, defect
from charrepl.repl.page import Page
from charrepl.repl.rendering import indented
from charrepl.settings.settings import Settings
from charrepl.system import paths
from charrepl.system.ignored_signals import heeded
from charrepl.text import control_characters
from charrepl.writing.autosave import Autosave
from charrepl.writing.session import Session

if TYPE_CHECKING:
    from charrepl.writing.journal import Reopened

# How long quitting waits for the connection to close.
CLOSING_S = 1.0
# And for a file to be saved.
SAVING_S = 30.0


def reopened(*, go_on: bool) -> Reopened | None:
    """The last session, to go on with, if that is wanted. Raises CharreplError if there is none."""
    if not go_on:
        return None
    from charrepl.writing import journal

    return journal.reopen(paths.sessions_dir())


class Host(ABC):
    """A session and its page; `plain` if there are lines only, which stand where they were typed."""

    plain = False

    def __init__(self, session: Session, *, endpoint: str | None, last: Reopened | None) -> None:
        self.session = session
        self.autosave = Autosave(
            session.draft, paths.sessions_dir, warn=session.tell, journal=last.journal if last else None
        )
        history = LineHistory(lambda: paths.data_dir() / "history", warn=session.tell)
        self._buffer = LineBuffer(name=DEFAULT_BUFFER, history=history, enable_history_search=True)
        self.page = Page(
            session, self._buffer, self.autosave, show=self.show, command=self._command, echoed=self.plain
        )
        self._last = last
        self._endpoint = endpoint
        self.saving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_their_end: set[asyncio.Task[None]] = set()  # of these
        self._connection: asyncio.Task[None] | None = None
        self._reported: set[str] = set()

    # What each way does in its own

    @abstractmethod
    def show(self, fragments: StyleAndTextTuples) -> None:
        """Prints above the line being typed. A defect in that is reported, and raises nothing."""

    @abstractmethod
    def columns(self) -> int:
        """The room there is to draw in."""

    @abstractmethod
    def apply(self, chosen: Settings) -> None:
        """Changes the settings."""

    @abstractmethod
    def end(self) -> None:
        """Has the session end; may be called more than once."""

    # What is the same

    def say(self, text: str) -> None:
        """Prints lines into the scrollback; they are no part of the text."""
        self.show([("", indented(text))])

    def background(self, work: Coroutine[None, None, None], *, to_its_end: bool = False) -> None:
        """Runs `work` until it is done or the session ends; `to_its_end`, that waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        for tasks in (self._tasks, self._to_their_end) if to_its_end else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def quit(self) -> None:
        """Ends the session."""
        while self.page.writer.passage is not None:
            self.page.writer.stop()  # what was entered meanwhile may be another, or /quit itself
        self.end()

    def complete_command(self) -> None:
        """Completes the command being typed as far as it is clear, and says what it could be."""
        from charrepl.commands import completion

        if completion.wants_models(self.page.line):
            self.background(self._complete_model(self.page.line))
        else:
            self._complete([])

    def _complete(self, models: list[str]) -> None:
        from charrepl.commands import commands, completion

        line = self.page.line
        result, candidates = completion.completed(line, commands=commands.names(), models=models)
        if result != line:
            self.page.replace(result)
        if candidates:
            self.session.tell("  ".join(candidates))

    async def _complete_model(self, line: str) -> None:
        with contextlib.suppress(CharreplError):
            known = await self.session.link.models()
            if self.page.line == line:  # else a key was quicker
                self._complete([model.name for model in known.models])

    def _command(self, line: str) -> None:
        from charrepl.commands import commands  # many sessions have none

        commands.run(line, self)

    def _begin(self) -> None:
        """Puts the last text on the page, if there is to be one, and follows the signals."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._defect)
        for signum in heeded([signal.SIGTERM, signal.SIGHUP]):
            loop.add_signal_handler(signum, self.quit)  # leaves the terminal as it was
        if self._last is not None:
            self._go_on(self._last)
        self.page.sync()

    def _go_on(self, last: Reopened) -> None:
        from charrepl.commands.text_commands import opened

        self.page.go_on(last.state)
        text = last.state.draft.text
        newer = "; a newer one is open in another charrepl" if last.newer_in_use else ""
        self.say(opened(text, f"going on with a text of {len(text):,} characters{newer}"))

    def _connect(self) -> None:
        work = self.session.connect(self._endpoint)
        self._connection = asyncio.get_running_loop().create_task(work)
        self.background(self._tell_of_backups())

    async def _tell_of_backups(self) -> None:
        """Says where the old text of a file is that was being saved when charrepl was killed."""
        from charrepl.files import backups  # not before the prompt is there

        for path, name in await asyncio.to_thread(backups.left_behind):
            self.say(
                f"{control_characters.visible(name)} was being saved when charrepl was killed: "
                f"what was in it before is in {path}, remove that when you do not need it"
            )

    async def _close(self) -> None:
        """Ends what is under way, and keeps what was typed."""
        self.session.close()
        if self._to_their_end:
            await asyncio.wait(list(self._to_their_end), timeout=SAVING_S)
        tasks = [*self._tasks, *([self._connection] if self._connection is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_S)
        await self.autosave.close()

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.report(context.get("exception") or RuntimeError(context.get("message")))

    def report(self, error: BaseException) -> None:
        """Tells of a defect, once: it may be what is told that cannot be drawn."""
        what = defect(error)
        if what not in self._reported:
            self._reported.add(what)
            self.session.tell(what)
