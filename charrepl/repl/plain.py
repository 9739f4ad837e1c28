"""The REPL in lines, `--plain`: for screen readers, braille displays and terminals that only print.

The screen changes only at its end. The ghost is a line of its own: `ghost: ...`, or `perhaps: ...` if its
first word is more likely wrong than right. It is printed after you enter a line, or when you ask for it
with a key that would take it. A key takes only a ghost that was printed. You type and delete at the end of
the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import unicodedata
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from charrepl.editing.key_sequences import KeySequences, KeyStroke, stroke
from charrepl.ghost.state import Answer, next_char, next_line, next_word, whole
from charrepl.repl import screen_reader_words
from charrepl.repl.greeting import greeting, nothing_entered_yet
from charrepl.repl.host import Host, reopened
from charrepl.repl.line_printer import LinePrinter
from charrepl.settings import keymap
from charrepl.settings.settings import Settings
from charrepl.terminal.terminal_input import TerminalInput
from charrepl.text import words
from charrepl.text.control_characters import printable
from charrepl.writing.session import SLOW_S, Session

if TYPE_CHECKING:
    from charrepl.writing.journal import Reopened

# How long the greeting waits to learn whether there is a daemon.
GREETING_S = 1.0
# How long the prompt waits after an entered line for the ghost that is printed before it.
OFFER_S = 0.3
# The line editor's keys, when only the end of a line can be changed.
_EDITING_KEYS = {
    "backward_delete_char": ("Backspace",),
    "unix_word_rubout": ("Ctrl-W",),
    "backward_kill_word": ("Alt-Backspace",),
    "unix_line_discard": ("Ctrl-U",),
    "previous_history": ("Up", "Ctrl-P"),
    "next_history": ("Down", "Ctrl-N"),
    "quoted_insert": ("Ctrl-V", "Ctrl-Q"),
    "enter": ("Ctrl-J",),  # the end of a line that was sent as a whole
}


def run(
    chosen: Settings,
    *,
    endpoint: str | None = None,
    go_on: bool = False,
    take_terminal: Callable[[], None] = lambda: None,
) -> int:
    """Runs the REPL until the user quits, and returns the exit code. As `application.run`."""
    last = reopened(go_on=go_on)
    asyncio.run(Plain(Session(chosen), endpoint=endpoint, last=last).run(take_terminal))
    return 0


class Plain(Host):
    """A session in lines."""

    plain = True

    def __init__(self, session: Session, *, endpoint: str | None, last: Reopened | None) -> None:
        super().__init__(session, endpoint=endpoint, last=last)
        session.changed = self._changed
        session.shown_when_asked = True
        self._input = TerminalInput(sys.stdin)
        self._paper = LinePrinter(_write)
        self._done = asyncio.Event()
        self._speaking: asyncio.Task[None] | None = None  # prints something before the prompt comes
        self._said = Answer("", "")  # the ghost that was printed last, and the text it continues
        self._condition = ""  # the connection's state as it was printed last; empty if it was good
        self._waiting: asyncio.TimerHandle | None = None
        self._heard = asyncio.Event()  # set when the daemon's state is known
        self._inserting = False  # whether the last key was a character
        self._keys = KeySequences(self._meanings(), act=self._act, other=self._insert)

    async def run(self, take_terminal: Callable[[], None]) -> None:
        """Lets the user type until they quit. `take_terminal` is called before the terminal is touched."""
        loop = self._loop = asyncio.get_running_loop()
        take_terminal()
        echo = bool(termios.tcgetattr(sys.stdin)[3] & termios.ECHO)  # not of Emacs, which shows all itself
        self._paper = LinePrinter(_write, echo=echo)
        self._input.whole_lines = not echo
        with self._input.raw_mode(), self._input.attach(self._read):
            self._begin()
            if nothing_entered_yet():
                self._speak(self._greet())
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
            self._connect()
            reading = loop.create_task(self._buffer.read_history())
            self._refresh()
            try:
                await self._done.wait()
            finally:
                self.page.paste(self._input.take_paste())
                reading.cancel()
                self._quiet()
                self._paper.end()
                await self._close()

    async def _greet(self) -> None:
        """Prints the greeting. If a key came first, it goes below the line that the key began."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GREETING_S):
                    await self._heard.wait()
        finally:
            if not self._done.is_set():
                keys = keymap.effective(self.session.settings.keys)
                self._paper.print(greeting(keys, preparing=self.session.link.preparing, plain=True))
                self._soon()

    # Host

    def end(self) -> None:
        self._done.set()

    def show(self, fragments: StyleAndTextTuples) -> None:
        """Prints below the line being typed, which is then printed again."""
        try:
            self._paper.print(screen_reader_words.passage(fragments))
        except Exception as error:
            self.report(error)
        self._soon()

    def columns(self) -> int:
        return 0  # bars would be read out, block by block

    def apply(self, chosen: Settings) -> None:
        self.session.apply(chosen)

    # Keys

    def _meanings(self) -> dict[str, tuple[str, ...]]:
        """The actions of each key. Several if its action depends on what is going on."""
        found: dict[str, tuple[str, ...]] = {}
        for name, own in keymap.effective(self.session.settings.keys).items():
            for key in own:
                found[key] = (*found.get(key, ()), name)
        for name, own in _EDITING_KEYS.items():
            for key in own:
                found.setdefault(key, (name,))
        return found

    def _read(self) -> None:
        """Takes in what was typed."""
        self._feed(self._input.read_keys())
        if self._waiting is not None:
            self._waiting.cancel()
        # Esc may be the beginning of another key.
        wait_s = self.session.settings.escape_timeout_ms / 1000
        self._waiting = self._loop.call_later(wait_s, self._flush)
        if self._input.closed:
            self.quit()

    def _flush(self) -> None:
        self._feed(self._input.flush_keys())
        self._keys.flush()

    def _feed(self, presses: list[KeyPress]) -> None:
        for press in presses:
            if press.key == Keys.BracketedPaste:
                self._keys.flush()
                self._put(press.data, pasted=True)
            else:
                self._keys.feed([stroke(press.key, press.data)])

    def _act(self, actions: tuple[str, ...]) -> None:
        if self._done.is_set():
            return
        writing = self.page.writer.passage is not None
        name = keymap.picked(actions, writing=writing, command=self.page.command_begun)
        act = self._actions().get(name)
        self._quiet()
        if act is None:
            return
        self._inserting = False
        if name != "undo":
            self._buffer.save_to_undo_stack()
        act()
        self._refresh()

    def _insert(self, key: KeyStroke) -> None:
        if len(key.key) == 1 and unicodedata.category(key.key) != "Cc":
            self._put(key.data)

    def _insert_literally(self, key: KeyStroke) -> None:
        if len(key.data) == 1:
            self._put(key.data)

    def _put(self, text: str, *, pasted: bool = False) -> None:
        if self._done.is_set():
            return
        self._quiet()
        if pasted or not self._inserting:
            self._buffer.save_to_undo_stack()
        self._inserting = not pasted
        self._refresh()
        if pasted:
            self.page.paste(text)
        else:
            self._buffer.insert_text(text)
        self._refresh(typed=True)

    def _actions(self) -> dict[str, Callable[[], None]]:
        buffer = self._buffer
        return {
            "take": lambda: self._take(whole),
            "take_word": lambda: self._take(next_word),
            "take_line": lambda: self._take(next_line),
            "take_character": lambda: self._take(next_char),
            "next_alternative": lambda: self._choose(1),
            "previous_alternative": lambda: self._choose(-1),
            "dismiss": self._forget,
            "enter": self._enter,
            "write_on": self._write_on,
            "stop_writing": self.page.writer.stop,
            "complete_command": self.complete_command,
            "undo": buffer.undo,
            "search": buffer.history_backward,
            "previous_history": buffer.history_backward,
            "next_history": buffer.history_forward,
            "quoted_insert": lambda: self._keys.next_to(self._insert_literally),
            "redraw": self._paper.end,
            "interrupt": self._interrupt,
            "quit": lambda: None if self.page.line else self.quit(),
            "suspend": self._suspend,
            "backward_delete_char": lambda: self._delete(1),
            "unix_word_rubout": lambda: self._delete(_word(self.page.line, str.isspace)),
            "backward_kill_word": lambda: self._delete(_word(self.page.line, words.is_gap)),
            "unix_line_discard": lambda: self._delete(len(self.page.line)),
        }

    def _delete(self, count: int) -> None:
        if self.page.line and count:
            self._buffer.delete_before_cursor(count)

    def _enter(self) -> None:
        offered = self.page.text is not None
        self._paper.end(typed=True)
        self.page.enter()
        if not self._done.is_set():
            self._speak(self._offer(said=offered))

    def _write_on(self) -> None:
        self._paper.end()
        self.page.write_on()

    def _interrupt(self) -> None:
        self._quiet()
        self._paper.end()
        if self.page.line:
            self.page.clear()
        else:
            self.session.tell("Ctrl-D or /quit ends the session")
        self._refresh()

    def _suspend(self) -> None:
        self._paper.end()
        with self._input.cooked_mode():
            os.kill(0, signal.SIGTSTP)

    # The ghost

    def _take(self, part: Callable[[str], str]) -> None:
        rest = self._said.rest(self.session.ghost.text or "") if self.session.ghost.text is not None else ""
        if rest:
            self.page.take(lambda shown: part(rest))
        else:
            self._speak(self._answer())

    def _forget(self) -> None:
        self._said = Answer("", "")

    def _choose(self, by: int) -> None:
        if self.session.ghost.text is None:
            return
        self.session.choose(by)
        self._speak(self._answer())

    async def _offer(self, *, said: bool) -> None:
        """After a line, prints the ghost if it comes soon. After a command, waits for its output."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OFFER_S):
                await self._idle()
                await self.session.settled()
                if said and self.session.ghost.shown:
                    self._say_ghost()

    async def _answer(self) -> None:
        """Prints the ghost that was asked for, or that there is none."""
        try:
            async with asyncio.timeout(SLOW_S):
                await self.session.settled()
        except TimeoutError:
            self._paper.print("no ghost yet: the daemon is slow to answer")
            return
        if self.session.ghost.shown:
            self._say_ghost()
        elif self.session.prepared:
            self._paper.print("no ghost")
        else:
            self._paper.print(f"no ghost: {printable(self.session.condition)}")

    def _say_ghost(self) -> None:
        ghost = self.session.ghost
        # Without its last newline: you type that with Enter, so that you hear where the line ends.
        self._said = Answer(ghost.text or "", ghost.shown.rstrip("\n"))
        self.session.count_shown()
        self._paper.print(screen_reader_words.ghost(ghost))

    def _speak(self, work: Coroutine[None, None, None]) -> None:
        """Lets `work` print something. The prompt comes after it. A key cancels it."""
        self._speaking = self._loop.create_task(work)
        self._speaking.add_done_callback(self._spoken)

    def _spoken(self, task: asyncio.Task[None]) -> None:
        if task is self._speaking:
            self._speaking = None
            if not self._done.is_set():
                self._refresh()

    def _quiet(self) -> None:
        """Cancels what was about to be printed."""
        speaking, self._speaking = self._speaking, None
        if speaking is not None:
            speaking.cancel()

    # The line

    def _refresh(self, *, typed: bool = False) -> None:
        """Shows the line, unless something else is to be printed first."""
        waits = self._speaking is not None or (self.page.writer.passage is not None and not self.page.line)
        if not waits and not self._done.is_set():
            try:
                self._paper.show(self.page.line, typed=typed)
            except Exception as error:  # keys that follow must still be read
                self.report(error)

    def _soon(self) -> None:
        self._loop.call_soon(self._refresh)

    def _changed(self) -> None:
        """Arranges that news is printed. May be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """Prints what is new and important of what a toolbar would show."""
        if self._done.is_set():
            return
        prepared, notices = self.session.prepared, (self.session.announcement, self.session.notice)
        self.session.announcement = self.session.notice = ""
        for notice in filter(None, notices):
            self._paper.print(printable(notice))
        condition = self.session.condition
        if condition not in (self._condition, "connecting") and (not prepared or self._condition):
            self._paper.print(printable(f"ready: {condition}" if prepared else condition))
        if condition != "connecting":
            self._condition = "" if prepared else condition
            self._heard.set()
        self._refresh()

    async def _idle(self) -> None:
        """Returns when all background work of commands is done."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))


def _word(line: str, gap: Callable[[str], bool]) -> int:
    """The length of a line's last word, with the gap after it, in characters."""
    count = 0
    while count < len(line) and gap(line[-count - 1]):
        count += 1
    while count < len(line) and not gap(line[-count - 1]):
        count += 1
    return count


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()
