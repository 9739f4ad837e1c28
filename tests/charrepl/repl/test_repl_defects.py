"""A prompt with a defect in how it draws: what is typed is kept, and the processor is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.charrepl.prompt import BACKSPACE, CTRL_D, Bench
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import continuing

# Before the program: what has a Q in it cannot be drawn, and that is found out as a frame is written.
DEFECT = """\
from charrepl.terminal import terminal_width
from charrepl.terminal import terminal_output
from charrepl.repl import line_printer
def failing(sound):
    def drawn(text):
        if "Q" in text:
            raise KeyError("Q")
        return sound(text)
    return drawn
terminal_width.doubtful = failing(terminal_width.doubtful)
line_printer.visible = failing(line_printer.visible)
"""
SAID = "a defect in charrepl, please report it: KeyError"


@pytest.fixture(params=["application", "plain"])
def screen(request: pytest.FixtureRequest, live: Bench) -> Screen:
    live.daemon.script = continuing("to be or Quiet")  # whose ghost cannot be drawn either
    command = live.command()
    command[2] = DEFECT + command[2].replace("charrepl.repl.application", f"charrepl.repl.{request.param}")
    return Screen(command, env=live.env)


def processor_s(screen: Screen) -> float:
    """The processor time that the program has used."""
    fields = Path(f"/proc/{screen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rests(screen: Screen) -> bool:
    """Whether the program does next to nothing for a while."""
    used_s, written = processor_s(screen), len(screen.written)
    screen.take_in(0.4)
    return processor_s(screen) - used_s < 0.1 and len(screen.written) - written < 1000


def test_what_cannot_be_drawn_is_kept_and_that_is_said_once(live: Bench, screen: Screen) -> None:
    def kept(text: str) -> bool:
        return any(text in path.read_text() for path in live.journals)

    with screen:
        screen.wait_for(lambda s: s.cursor[0] == 2).type("to be Q")
        screen.wait_for(SAID)
        screen.type("r not")
        screen.wait_for(lambda _: kept("r not"))
        assert rests(screen)
        assert screen.scrollback.count(SAID) == 1
        screen.type(BACKSPACE * 6)
        screen.wait_for(lambda s: s.before_cursor == "to be ")
        screen.type("Q\r")  # which is printed, too
        screen.wait_for(lambda _: kept("to be Q\\n"))
        screen.type("whole\r")
        screen.wait_for(lambda _: kept("whole\\n")).wait_for("> whole")
        screen.type(CTRL_D)
        assert screen.wait_for_exit() == 0
