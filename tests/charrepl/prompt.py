"""A prompt and its daemon, for tests: a REPL in a real terminal, in places of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from charrepl.terminal.reflow import SIGNS
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import ScriptedDaemon, continuing

CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]
RUN = """\
import sys
from charrepl.repl.application import run
from charrepl.settings.settings import effective
given, options = eval(sys.argv[1])
sys.exit(run(effective(given).settings, **options))
"""
READY = "shakespeare · scripted"
CTRL_C, CTRL_D, CTRL_E, CTRL_F, CTRL_R, UNDO = "\x03", "\x04", "\x05", "\x06", "\x12", "\x1f"
ESC, ALT_ENTER = "\x1b", "\x1b\r"
BACKSPACE, LEFT, RIGHT, UP, END = "\x7f", "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[F"
SHIFT_TAB, SHIFT_RIGHT, CTRL_RIGHT, ALT_RIGHT = "\x1b[Z", "\x1b[1;2C", "\x1b[1;5C", "\x1b[1;3C"
CTRL_UP, CTRL_DOWN = "\x1b[1;5A", "\x1b[1;5B"
# What the terminal that the tests run in says of itself.
TERMINALS_OWN = {"NO_COLOR", *SIGNS}


class Bench:
    """A REPL and its daemon, in places of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.daemon = ScriptedDaemon(place / "d.sock", continuing())
        self.env = {
            **{name: value for name, value in os.environ.items() if name not in TERMINALS_OWN},
            "TERM": "xterm-256color",
            "CHARREPL_DATA_DIR": str(place / "data"),
            "CHARREPL_CONFIG_DIR": str(place / "config"),
            "CHARREPL_RUNTIME_DIR": str(place / "run"),
        }

    def start(self, *arguments: str, columns: int = 80, rows: int = 24) -> Screen:
        """The command itself, with its daemon."""
        command = [*CHARREPL, "--endpoint", self.daemon.endpoint, *arguments]
        return Screen(command, env=self.env, columns=columns, rows=rows)

    @property
    def journals(self) -> list[Path]:
        """Of the sessions so far."""
        return list((self.place / "data" / "sessions").glob("*.jsonl"))

    def configure(self, text: str) -> None:
        """Writes config.toml."""
        (self.place / "config").mkdir(exist_ok=True)
        (self.place / "config" / "config.toml").write_text(text)

    def command(self, *, go_on: bool = False, **given: object) -> list[str]:
        options = {"endpoint": given.pop("endpoint", self.daemon.endpoint), "go_on": go_on}
        return [sys.executable, "-c", RUN, repr((given, options))]

    def repl(self, *, columns: int = 80, rows: int = 24, ready: str = READY, **options: object) -> Screen:
        screen = Screen(self.command(**options), env=self.env, columns=columns, rows=rows)
        return screen.wait_for(ready)


def shows(ghost: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.ghost == ghost


def typed(line: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.before_cursor == line
