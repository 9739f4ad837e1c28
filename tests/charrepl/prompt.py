"""A prompt and its daemon, for tests: a REPL in a real terminal, in places of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from charrepl.reflow import SIGNS
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import ScriptedDaemon, continuing

RUN = "import sys; from charrepl.repl import run; sys.exit(run(**eval(sys.argv[1])))"
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

    def command(self, **options: object) -> list[str]:
        return [sys.executable, "-c", RUN, repr({"endpoint": self.daemon.endpoint, **options})]

    def repl(self, *, columns: int = 80, rows: int = 24, ready: str = READY, **options: object) -> Screen:
        screen = Screen(self.command(**options), env=self.env, columns=columns, rows=rows)
        return screen.wait_for(ready)


def shows(ghost: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.ghost == ghost


def typed(line: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.before_cursor == line
