"""The REPL: a prompt that shows the ghost as you type.

One prompt_toolkit application lives for the whole session; a committed line is printed above it.
Nothing that is not needed to draw the prompt is imported before it is drawn.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.output import Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from charrepl import paths, settings
from charrepl.errors import reason
from charrepl.history import LineBuffer, LineHistory
from charrepl.keys import bindings
from charrepl.layout import layout
from charrepl.render import INDENT, committed, style, toolbar
from charrepl.safe import visible
from charrepl.session import Session, literal

# Longer texts, which were pasted, are not kept in the history.
HISTORY_CHARS = 10_000
# How long quitting waits for the connection to close.
CLOSING_S = 1.0


def run(
    *,
    model: str = "",
    endpoint: str | None = None,
    vi: bool = False,
    temperature: float = 0.0,
    take_terminal: Callable[[], None] = lambda: None,
    input: Input | None = None,  # noqa: A002  (prompt_toolkit's own name for it)
    output: Output | None = None,
) -> int:
    """Runs the REPL until the user quits, and returns the exit code.

    `take_terminal` is called just before the terminal is set up and drawn on.
    Raises CharreplError if the configuration is wrong.
    """
    chosen = settings.load(paths.config_file())
    session = Session(
        model=model or chosen.model,
        temperature=temperature or chosen.temperature,
        min_confidence=chosen.min_confidence,
    )
    repl = Repl(
        session,
        editing_mode=EditingMode.VI if vi or chosen.editing_mode == "vi" else EditingMode.EMACS,
        escape_timeout_ms=chosen.escape_timeout_ms,
        endpoint=endpoint,
        keyboard=input,
        output=output,
    )
    asyncio.run(repl.run(take_terminal))
    return 0


class Repl:
    """The application and its buffer; what the keys (`keys.Hands`) and the commands (`commands.Desk`) do."""

    def __init__(
        self,
        session: Session,
        *,
        editing_mode: EditingMode,
        escape_timeout_ms: int,
        endpoint: str | None,
        keyboard: Input | None,
        output: Output | None,
    ) -> None:
        self.session = session
        session.changed = lambda: self.app.invalidate()
        self._endpoint = endpoint
        self._tasks: set[asyncio.Task[None]] = set()
        history = LineHistory(lambda: paths.data_dir() / "history", warn=session.tell)
        self._buffer = LineBuffer(name=DEFAULT_BUFFER, history=history, enable_history_search=True)
        self._buffer.on_text_changed += self._text_changed
        self._buffer.on_cursor_position_changed += lambda _: self._sync()
        if output is None:
            output = create_output()
        if isinstance(output, Vt100_Output):
            # Where the prompt is on the screen is of no use here, and asking makes slow terminals
            # answer into the text.
            output.enable_cpr = False
        self.app: Application[None] = Application(
            layout=layout(
                self._buffer, ghost=self._ghost, toolbar=lambda: toolbar(self.session), output=output
            ),
            style=style(os.environ),
            include_default_pygments_style=False,
            key_bindings=bindings(self),
            editing_mode=editing_mode,
            erase_when_done=True,
            terminal_size_polling_interval=None,
            input=keyboard,
            output=output,
        )
        # Esc waits once in the parser, for the rest of a cursor key, and once more for an Alt key.
        self.app.ttimeoutlen = self.app.timeoutlen = escape_timeout_ms / 2000

    async def run(self, take_terminal: Callable[[], None]) -> None:
        """Lets the user type until they quit. `take_terminal` is called before the terminal is touched."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._defect)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self.quit)  # leaves the terminal as it was
        self.app.after_render += self._first_painted
        self._sync()
        take_terminal()
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

    # keys.Hands

    def ghost_shown(self) -> bool:
        """Whether there is a ghost on the screen."""
        return bool(self._ghost())

    def line_empty(self) -> bool:
        """Whether nothing is typed."""
        return not self._buffer.text

    def take(self, part: Callable[[str], str]) -> None:
        """Inserts a part of the ghost."""
        self._buffer.insert_text(self.session.take(part))

    def dismiss(self) -> None:
        """Hides the ghost."""
        self.session.dismiss()

    def enter(self) -> None:
        """Commits the line to the scrollback and the text, or carries it out as a command."""
        line = self._buffer.text
        text = literal(line)
        self._print(committed(line))
        self._buffer.reset(append_to_history=len(line) <= HISTORY_CHARS)
        self.session.notice = ""
        if text is None:
            from charrepl import commands  # many sessions have none

            commands.run(line, self)
        else:
            self.session.commit(text)
        self._sync()

    def interrupt(self) -> None:
        """Clears the line, so that undo brings it back; on an empty one, says how to quit."""
        if self.app.layout.has_focus(self._buffer) and self._buffer.text:
            cleared = self._buffer.document
            self._buffer.reset()  # back from a line of the history to a new one
            self._buffer.document = cleared
            self._buffer.save_to_undo_stack()
            self._buffer.document = Document()
        else:
            self.session.tell("Ctrl-D or /quit ends the session")

    def suspend(self) -> None:
        """Stops the process, until the shell's `fg`."""
        self.app.suspend_to_background()

    def quit(self) -> None:
        """Ends the session."""
        if not self.app.is_done:
            self.app.exit()

    # commands.Desk

    def say(self, text: str) -> None:
        """Prints lines into the scrollback; they are no part of the text."""
        lines = [visible(line) for line in text.split("\n")]
        self._print([("", "".join(f"{INDENT}{line}\n" for line in lines))])

    def background(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work` until it is done or the session ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The screen

    def _ghost(self) -> str:
        """The ghost to draw; none where the keys mean something else."""
        if not self.app.layout.has_focus(self._buffer):
            return ""
        vi_commands = (
            self.app.editing_mode is EditingMode.VI and self.app.vi_state.input_mode is not InputMode.INSERT
        )
        return "" if vi_commands else self.session.ghost.shown

    def _print(self, fragments: StyleAndTextTuples) -> None:
        """Prints above the prompt, into the scrollback, in the place of what is drawn now."""
        self.app.renderer.erase()
        self.app.print_text(fragments)
        self.app.invalidate()

    # What happens

    def _text_changed(self, buffer: Buffer) -> None:
        self.session.notice = ""
        self._sync()

    def _sync(self) -> None:
        at_end = self._buffer.document.is_cursor_at_the_end
        self.session.line_changed(literal(self._buffer.text) if at_end else None)

    def _first_painted(self, app: Application[None]) -> None:
        self.app.after_render -= self._first_painted
        self.background(self.session.connect(self._endpoint))

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        what = f"{type(error).__name__}: {reason(error)}" if error else str(context.get("message"))
        self.session.tell(f"a defect in charrepl, please report it: {what}")
