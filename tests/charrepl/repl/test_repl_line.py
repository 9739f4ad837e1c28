"""The line at the prompt: what Enter makes of it, history, and the way out."""

from __future__ import annotations

import os
import signal
import stat

import pytest

from tests.charrepl.prompt import BACKSPACE, CTRL_C, CTRL_D, READY, UNDO, UP, Bench, shows, typed


def test_enter_commits_the_line_and_leaves_no_ghost_behind(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs the")
        screen.wait_for(shows(" day so young?↵")).type("\r")
        screen.wait_for(lambda s: s.lines[:2] == ["> ROMEO:", "> Is the"] and s.before_cursor == "")
        screen.type("x")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "ROMEO:\nIs the\nx")
        screen.type(BACKSPACE + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.lines == ["> ROMEO:", "> Is the"]


def test_a_taken_newline_is_the_end_of_the_line_not_an_empty_one(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO")
        screen.wait_for(shows(":↵")).type("\t")
        screen.wait_for(shows("Is the day so young?↵")).type("\r")
        screen.wait_for(lambda s: s.lines[:2] == ["> ROMEO:", "> Is the day so young?↵"])


def test_control_c_clears_the_line_and_undo_brings_it_back(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs")
        screen.wait_for(typed("Is")).type(CTRL_C)
        screen.wait_for(typed("")).type(UNDO)
        screen.wait_for(typed("Is")).type(CTRL_C)
        screen.wait_for(typed("")).type(CTRL_C)
        screen.wait_for("Ctrl-D or /quit ends the session").type("x")
        screen.wait_for(READY)
        assert screen.lines[0] == "> ROMEO:"


@pytest.mark.parametrize("way", [CTRL_D, "/quit\r"])
def test_quitting_leaves_only_what_was_committed(live: Bench, way: str) -> None:
    with live.repl() as screen:
        screen.type("hello\r" + way)
        assert screen.wait_for_exit() == 0
        assert screen.lines == ["> hello", "> /quit"][: 1 + way.startswith("/")]
        assert screen.written.rfind(b"\x1b[?25h") > screen.written.rfind(b"\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(live: Bench, signum: int) -> None:
    with live.repl() as screen:
        os.kill(screen.pid, signum)
        assert screen.wait_for_exit() == 0
        assert b"\x1b[?2004l" in screen.written


def test_two_slashes_are_a_literal_one_and_a_command_has_no_ghost(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("/he")
        screen.wait_for(typed("/he"))
        assert screen.ghost == ""
        screen.type(CTRL_C + "//he\rx")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "/he\nx")


def test_a_paste_is_one_request_and_stays_editable(live: Bench) -> None:
    pasted = "All the world's a stage,\n" * 4000 + "THE END"
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵"))
        asked = len(live.daemon.requests)
        screen.type(f"\x1b[200~{pasted}\x1b[201~")
        screen.wait_for("THE END").wait_for(lambda s: len(live.daemon.requests) > asked)
        screen.type("!")
        screen.wait_for("THE END!").wait_for(lambda s: len(live.daemon.requests) > asked + 1)
        assert len(live.daemon.requests) == asked + 2
        request = live.daemon.requests[-1]
        assert request.text == (pasted + "!")[request.offset :]


def test_one_long_pasted_line_does_not_slow_the_keys(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("\x1b[200~" + "a long line " * 20_000 + "END\x1b[201~")
        screen.wait_for(lambda s: s.before_cursor.endswith("END"))
        for count in range(1, 11):
            screen.type("x")
            screen.wait_for(lambda s, count=count: s.before_cursor.endswith("END" + "x" * count))


def test_history_is_kept_privately_between_sessions(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("first\rsecond\r")
        screen.wait_for("> second").type(CTRL_D)
        screen.wait_for_exit()
    path = live.place / "data" / "history"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵")).type(UP + UP)
        screen.wait_for(typed("first"))


def test_a_history_that_cannot_be_kept_is_one_line_and_no_hindrance(live: Bench) -> None:
    (live.place / "data").write_text("a file where the directory should be")
    with live.repl(ready="history is not kept") as screen:
        screen.type("hello\r")
        screen.wait_for(lambda screen: screen.lines[:2] == ["> hello", ">"]).type(UP)
        screen.wait_for(typed("hello"))


def test_a_line_that_the_history_has_no_room_for_is_said(live: Bench) -> None:
    (live.place / "data").mkdir(mode=0o700)
    (live.place / "data" / "history").symlink_to("/dev/full")
    with live.repl() as screen:
        screen.type("hello\r")
        screen.wait_for("history is not kept")


def test_up_right_after_enter_finds_the_line_even_in_the_same_read(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("first\rsecond\r" + UP + UP + "!")
        screen.wait_for(typed("first!"))
