"""The host of a session at a terminal: what `application.py` and `plain.py` share.

It is the `CommandHost` of the commands. It also runs background work and ends the session.
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
from charrepl.repl.off_watch import OffWatch
from charrepl.repl.page import Page
from charrepl.repl.rendering import indented
from charrepl.repl.session_counts import SessionCounts
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
# How long it waits until a file is saved.
SAVING_S = 30.0


def reopened(*, go_on: bool) -> Reopened | None:
    """With `go_on`, the last session; else None. Raises CharreplError if there is no last session."""
    if not go_on:
        return None
    from charrepl.writing import journal

    return journal.reopen(paths.sessions_dir())


class Host(ABC):
    """A session and its page. `plain` says that there are only lines, which stay where they were typed."""

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
        session.about_to_ask = OffWatch(session.switch).look
        self._last = last
        self._endpoint = endpoint
        self.saving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_their_end: set[asyncio.Task[None]] = set()  # the tasks that quitting waits for
        self._lasting: list[asyncio.Task[None]] = []  # as long as the session
        self._reported: set[str] = set()

    # What each kind of prompt does in its own way

    @abstractmethod
    def show(self, fragments: StyleAndTextTuples) -> None:
        """Prints above the line being typed. A defect is reported, never raised."""

    @abstractmethod
    def columns(self) -> int:
        """How many columns there are to draw in."""

    @abstractmethod
    def apply(self, chosen: Settings) -> None:
        """Changes the settings."""

    @abstractmethod
    def end(self) -> None:
        """Ends the session. You may call it more than once."""

    # What both kinds share

    def say(self, text: str) -> None:
        """Prints lines into the scrollback. They are not part of the text."""
        self.show([("", indented(text))])

    def background(self, work: Coroutine[None, None, None], *, to_its_end: bool = False) -> None:
        """Runs `work` until it is done or the session ends. With `to_its_end`, the session waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        for tasks in (self._tasks, self._to_their_end) if to_its_end else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def quit(self) -> None:
        """Ends the session."""
        while self.page.writer.passage is not None:
            self.page.writer.stop()  # a line that waited may begin another passage, or be /quit itself
        self.end()

    def complete_command(self) -> None:
        """Completes the command being typed as far as possible, and shows the candidates."""
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
        from charrepl.commands import commands  # many sessions run no command

        commands.run(line, self)

    def _begin(self) -> None:
        """Puts the last text on the page, if it is to be continued, and sets the signal handlers."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._defect)
        for signum in heeded([signal.SIGTERM, signal.SIGHUP]):
            loop.add_signal_handler(signum, self.quit)  # which restores the terminal
        if self._last is not None:
            self._go_on(self._last)
        self.page.sync()

    def _go_on(self, last: Reopened) -> None:
        from charrepl.commands.text_commands import opened

        self.page.go_on(last.state)
        text = last.state.draft.text
        newer = "; a newer one is open in another charrepl" if last.newer_in_use else ""
        self.say(opened(text, f"continuing a text of {len(text):,} characters{newer}"))

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for work in (self.session.connect(self._endpoint), SessionCounts(self.session.tally).keep()):
            self._lasting.append(loop.create_task(work))
        self.session.about_to_ask()  # so that it is known before the first ghost whether they are off
        self.background(self._tell_of_backups())

    async def _tell_of_backups(self) -> None:
        """Says where a file's old text is, if charrepl was killed while it saved that file."""
        from charrepl.files import backups  # only after the prompt is drawn

        for path, name in await asyncio.to_thread(backups.left_behind):
            self.say(
                f"{control_characters.visible(name)} was being saved when charrepl was killed: "
                f"its old content is in {path}; remove that when you do not need it"
            )

    async def _close(self) -> None:
        """Ends what is in progress, and saves what was typed."""
        self.session.close()
        if self._to_their_end:
            await asyncio.wait(list(self._to_their_end), timeout=SAVING_S)
        tasks = [*self._tasks, *self._lasting]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_S)
        await self.autosave.close()

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.report(context.get("exception") or RuntimeError(context.get("message")))

    def report(self, error: BaseException) -> None:
        """Shows a defect, each only once: drawing this message may be what fails."""
        what = defect(error)
        if what not in self._reported:
            self._reported.add(what)
            self.session.tell(what)
