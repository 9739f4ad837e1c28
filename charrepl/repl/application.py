"""The REPL: a prompt that shows the ghost as you type.

One prompt_toolkit application lives for the whole session; a committed line is printed above it.
Before the prompt is drawn, only what drawing needs is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.output import ColorDepth, Output

from charrepl.errors import defect
from charrepl.ghost.state import Ghost
from charrepl.repl.greeting import greeting
from charrepl.repl.host import Host, reopened
from charrepl.repl.key_bindings import bindings, editing
from charrepl.repl.layout import layout
from charrepl.repl.rendering import toolbar
from charrepl.settings import keymap
from charrepl.settings.settings import Settings
from charrepl.terminal import colours
from charrepl.terminal.reflow import ReflowingApplication
from charrepl.terminal.terminal_input import TerminalInput
from charrepl.terminal.terminal_output import MinimalOutput, terminal_output
from charrepl.text.control_characters import printable, visible
from charrepl.writing.session import Session

if TYPE_CHECKING:
    from charrepl.writing.journal import Reopened

# How long a frame with a key's echo may wait for other work to end.
RENDER_POSTPONED_S = 0.001
# A terminal with so many rows has room for the greeting.
GREETED_ROWS = 6


def run(
    chosen: Settings,
    *,
    endpoint: str | None = None,
    go_on: bool = False,
    take_terminal: Callable[[], None] = lambda: None,
    input: Input | None = None,  # noqa: A002  (prompt_toolkit's own name for it)
    output: Output | None = None,
) -> int:
    """Runs the REPL until the user quits, and returns the exit code.

    With `go_on`, it continues the text of the last session. `take_terminal` is called just before the
    terminal is set up and drawn on.
    Raises CharreplError if there is no session to continue.
    """
    last = reopened(go_on=go_on)
    repl = Repl(Session(chosen), endpoint=endpoint, last=last, keyboard=input, output=output)
    asyncio.run(repl.run(take_terminal))
    return 0


class Repl(Host):
    """The application: what keys do (`key_bindings.KeyActions`), and how commands print (`Host`)."""

    def __init__(
        self,
        session: Session,
        *,
        endpoint: str | None,
        last: Reopened | None,
        keyboard: Input | None,
        output: Output | None,
    ) -> None:
        super().__init__(session, endpoint=endpoint, last=last)
        session.changed = lambda: self.app.invalidate()
        self._output = output or terminal_output()
        self._undrawn = False  # whether the last frame could not be drawn
        self._keyboard = keyboard or TerminalInput(sys.stdin)
        self.app = ReflowingApplication(
            environ=os.environ,
            frame_failed=self._frame_failed,
            layout=layout(
                self._buffer,
                ghost=self._ghost,
                passage=lambda: self.page.unfinished,
                toolbar=self._toolbar,
                output=self._output,
            ),
            color_depth=self._depth,
            include_default_pygments_style=False,
            key_bindings=bindings(self, session.settings.keys),
            erase_when_done=True,
            terminal_size_polling_interval=None,
            max_render_postpone_time=RENDER_POSTPONED_S,
            input=self._keyboard,
            output=self._output,
        )
        self.app._default_bindings = editing(self.app._default_bindings)  # there is no other way
        self._follow_settings()

    async def run(self, take_terminal: Callable[[], None]) -> None:
        """Lets the user type until they quit. `take_terminal` is called before the terminal is touched."""
        self.app.after_render += self._first_painted
        self.app.after_render += self._painted
        take_terminal()
        self._begin()
        try:
            await self.app.run_async(set_exception_handler=False)
        except EOFError:
            pass  # the terminal has gone
        finally:
            if isinstance(self._keyboard, TerminalInput):
                self.page.paste(self._keyboard.take_paste())
            await self._close()

    # KeyActions

    def ghost_shown(self) -> bool:
        """Whether there is a ghost on the screen."""
        return bool(self._ghost().shown)

    def ghost_fits(self) -> bool:
        """Whether a ghost could be on the screen."""
        return self._ghost().text is not None

    def interrupt(self) -> None:
        """Clears the line; on an empty one, says how to quit."""
        if self.page.line:
            self.page.clear()
        else:
            self.session.tell("Ctrl-D or /quit ends the session")

    def suspend(self) -> None:
        """Stops the process, until the shell's `fg`."""
        self.app.suspend_to_background()

    # Host

    def end(self) -> None:
        if not self.app.is_done:
            self.app.exit()

    def show(self, fragments: StyleAndTextTuples) -> None:
        """Prints above the prompt, into the scrollback. It replaces what is drawn now."""
        try:
            self.app.renderer.erase()
            self.app.print_text(fragments)
        except Exception as error:
            self._begin_frame_anew()
            self._say_undrawn(error)
        self.app.invalidate()

    def columns(self) -> int:
        return self._output.get_size().columns

    def apply(self, chosen: Settings) -> None:
        self.session.apply(chosen)
        self._follow_settings()

    # Drawing

    def _ghost(self) -> Ghost:
        """The ghost to draw. None in a search or outside vi's insert mode: keys mean something else there."""
        vi_commands = (
            self.app.editing_mode is EditingMode.VI and self.app.vi_state.input_mode is not InputMode.INSERT
        )
        hidden = vi_commands or not self.app.layout.has_focus(self._buffer)
        return Ghost() if hidden else self.session.ghost

    def _frame_failed(self, error: Exception) -> None:
        """Removes the ghost, so that the rest can be drawn. Without one, says so and removes the notice."""
        self._begin_frame_anew()
        if self.session.ghost.shown:
            self.session.dismiss()
            self.report(error)
        else:
            self._say_undrawn(error)
            if self.session.notice:
                self.session.tell("")

    def _begin_frame_anew(self) -> None:
        if isinstance(self._output, MinimalOutput):
            self._output.discard()
        with contextlib.suppress(OSError):  # the terminal has gone
            self.app.renderer.erase()

    def _say_undrawn(self, error: Exception) -> None:
        """Prints once, without drawing, that a frame cannot be drawn. A frame that is drawn resets this."""
        if not self._undrawn:
            self._undrawn = True
            said = f"{defect(error)}; what you type is kept, and Ctrl-C clears the line"
            with contextlib.suppress(OSError):
                self._output.write_raw(printable(said) + "\r\n")
                self._output.flush()

    def _painted(self, app: Application[None]) -> None:
        self._undrawn = False

    def _toolbar(self) -> StyleAndTextTuples:
        session = self.session
        said = ""
        if session.untouched:
            if self._output.get_size().rows >= GREETED_ROWS + bool(session.announcement):
                said = greeting(keymap.effective(session.settings.keys), preparing=session.link.preparing)
            elif session.announcement:
                return [("class:toolbar.notice", visible(session.announcement))]
        return toolbar(session, writing=self.page.writer.passage is not None, greeting=said)

    def _depth(self) -> ColorDepth:
        return colours.depth(self.session.settings.colors, os.environ)

    def _follow_settings(self) -> None:
        chosen = self.session.settings
        self.app.style = colours.style(chosen.background, self._depth(), os.environ)
        self.app.editing_mode = EditingMode.VI if chosen.editing_mode == "vi" else EditingMode.EMACS
        # Esc waits once in the parser, for the rest of a cursor key, and once more for an Alt key.
        self.app.ttimeoutlen = self.app.timeoutlen = chosen.escape_timeout_ms / 2000

    def _first_painted(self, app: Application[None]) -> None:
        self.app.after_render -= self._first_painted
        self._connect()
