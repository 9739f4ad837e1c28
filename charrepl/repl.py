"""The REPL: a prompt that shows the ghost as you type.

One prompt_toolkit application lives for the whole session; a committed line is printed above it.
Nothing that is not needed to draw the prompt is imported before it is drawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.output import Output

from charrepl import paths, settings
from charrepl.autosave import Autosave
from charrepl.errors import CharreplError, reason
from charrepl.ghost import Ghost
from charrepl.history import LineBuffer, LineHistory
from charrepl.keys import bindings
from charrepl.layout import layout
from charrepl.output import terminal_output
from charrepl.page import Page
from charrepl.reflow import ReflowingApplication
from charrepl.render import indented, style, toolbar
from charrepl.session import Session
from charrepl.settings import Settings

if TYPE_CHECKING:
    from charrepl.journal import Reopened

# How long a frame with a key's echo may wait for other work to end.
RENDER_POSTPONED_S = 0.001
# How long quitting waits for the connection to close.
CLOSING_S = 1.0


def run(
    *,
    model: str = "",
    endpoint: str | None = None,
    vi: bool = False,
    temperature: float = 0.0,
    assertiveness: str = "",
    go_on: bool = False,
    take_terminal: Callable[[], None] = lambda: None,
    input: Input | None = None,  # noqa: A002  (prompt_toolkit's own name for it)
    output: Output | None = None,
) -> int:
    """Runs the REPL until the user quits, and returns the exit code.

    With `go_on`, the text is that of the last session. `take_terminal` is called just before the
    terminal is set up and drawn on.
    Raises CharreplError if the configuration is wrong, or if there is nothing to go on with.
    """
    configured = settings.load(paths.config_file())
    chosen = replace(
        configured,
        model=model or configured.model,
        editing_mode="vi" if vi else configured.editing_mode,
        temperature=temperature or configured.temperature,
        assertiveness=assertiveness or configured.assertiveness,
    )
    last: Reopened | None = None
    if go_on:
        from charrepl import journal

        last = journal.reopen(paths.sessions_dir())
    repl = Repl(Session(chosen), endpoint=endpoint, last=last, keyboard=input, output=output)
    asyncio.run(repl.run(take_terminal))
    return 0


class Repl:
    """The application: what the keys do to it (`keys.Hands`), and what the commands may (`commands.Desk`)."""

    def __init__(
        self,
        session: Session,
        *,
        endpoint: str | None,
        last: Reopened | None,
        keyboard: Input | None,
        output: Output | None,
    ) -> None:
        self.session = session
        session.changed = lambda: self.app.invalidate()
        self.autosave = Autosave(
            session.draft, paths.sessions_dir, warn=session.tell, journal=last.journal if last else None
        )
        history = LineHistory(lambda: paths.data_dir() / "history", warn=session.tell)
        self._buffer = LineBuffer(name=DEFAULT_BUFFER, history=history, enable_history_search=True)
        self.page = Page(session, self._buffer, self.autosave, show=self.show, command=self._command)
        self._last = last
        self._endpoint = endpoint
        self._tasks: set[asyncio.Task[None]] = set()
        self._output = output or terminal_output()
        self.app = ReflowingApplication(
            environ=os.environ,
            layout=layout(
                self._buffer,
                ghost=self._ghost,
                passage=lambda: self.page.unfinished,
                toolbar=lambda: toolbar(self.session, writing=self.page.writer.passage is not None),
                output=self._output,
            ),
            style=style(os.environ),
            include_default_pygments_style=False,
            key_bindings=bindings(self),
            erase_when_done=True,
            terminal_size_polling_interval=None,
            max_render_postpone_time=RENDER_POSTPONED_S,
            input=keyboard,
            output=self._output,
        )
        self._follow_settings()

    async def run(self, take_terminal: Callable[[], None]) -> None:
        """Lets the user type until they quit. `take_terminal` is called before the terminal is touched."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._defect)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self.quit)  # leaves the terminal as it was
        self.app.after_render += self._first_painted
        take_terminal()
        if self._last is not None:
            self._go_on(self._last)
        self.page.sync()
        try:
            await self.app.run_async(set_exception_handler=False)
        except EOFError:
            pass  # the terminal has gone
        finally:
            self.session.close()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSING_S)
            await self.autosave.close()

    # keys.Hands

    def ghost_shown(self) -> bool:
        """Whether there is a ghost on the screen."""
        return bool(self._ghost().shown)

    def ghost_fits(self) -> bool:
        """Whether a ghost could be on the screen."""
        return self._ghost().text is not None

    def complete_command(self) -> None:
        """Completes the command being typed as far as it is clear, and says what it could be."""
        from charrepl import completion

        if completion.wants_models(self.page.line):
            self.background(self._complete_model(self.page.line))
        else:
            self._complete([])

    def interrupt(self) -> None:
        """Clears the line; on an empty one, says how to quit."""
        if self.page.line:
            self.page.clear()
        else:
            self.session.tell("Ctrl-D or /quit ends the session")

    def suspend(self) -> None:
        """Stops the process, until the shell's `fg`."""
        self.app.suspend_to_background()

    def quit(self) -> None:
        """Ends the session."""
        while self.page.writer.passage is not None:
            self.page.writer.stop()  # what was entered meanwhile may be another, or /quit itself
        if not self.app.is_done:
            self.app.exit()

    # commands.Desk

    def say(self, text: str) -> None:
        """Prints lines into the scrollback; they are no part of the text."""
        self.show([("", indented(text))])

    def show(self, fragments: StyleAndTextTuples) -> None:
        """Prints above the prompt, into the scrollback, in the place of what is drawn now."""
        self.app.renderer.erase()
        self.app.print_text(fragments)
        self.app.invalidate()

    def columns(self) -> int:
        """The width of the terminal."""
        return self._output.get_size().columns

    def apply(self, chosen: Settings) -> None:
        """Changes the settings."""
        self.session.apply(chosen)
        self._follow_settings()

    def background(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work` until it is done or the session ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What happens

    def _ghost(self) -> Ghost:
        """The ghost to draw; none where the keys mean something else."""
        vi_commands = (
            self.app.editing_mode is EditingMode.VI and self.app.vi_state.input_mode is not InputMode.INSERT
        )
        hidden = vi_commands or not self.app.layout.has_focus(self._buffer)
        return Ghost() if hidden else self.session.ghost

    def _command(self, line: str) -> None:
        from charrepl import commands  # many sessions have none

        commands.run(line, self)

    def _complete(self, models: list[str]) -> None:
        from charrepl import commands, completion

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

    def _go_on(self, last: Reopened) -> None:
        from charrepl.commands_text import opened

        self.page.go_on(last.state)
        text = last.state.draft.text
        newer = "; a newer one is open in another charrepl" if last.newer_in_use else ""
        self.say(opened(text, f"going on with a text of {len(text):,} characters{newer}"))

    def _follow_settings(self) -> None:
        chosen = self.session.settings
        self.app.editing_mode = EditingMode.VI if chosen.editing_mode == "vi" else EditingMode.EMACS
        # Esc waits once in the parser, for the rest of a cursor key, and once more for an Alt key.
        self.app.ttimeoutlen = self.app.timeoutlen = chosen.escape_timeout_ms / 2000

    def _first_painted(self, app: Application[None]) -> None:
        self.app.after_render -= self._first_painted
        self.background(self.session.connect(self._endpoint))

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        what = f"{type(error).__name__}: {reason(error)}" if error else str(context.get("message"))
        self.session.tell(f"a defect in charrepl, please report it: {what}")
