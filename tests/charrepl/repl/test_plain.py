"""The prompt in lines: nothing is ever drawn over, and nothing is taken that was not said."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from charrepl.ghost.state import Answer, Ghost
from charrepl.repl.line_printer import LinePrinter
from charrepl.repl.screen_reader_words import ghost as told
from charrepl.repl.screen_reader_words import passage
from charrepl.wire import protocol
from tests.charrepl.grapheme_samples import FAMILY, FLAG, THUMB
from tests.charrepl.prompt import (
    ALT_ENTER,
    BACKSPACE,
    CHARREPL,
    CTRL_C,
    CTRL_D,
    CTRL_DOWN,
    CTRL_E,
    ESC,
    UNDO,
    UP,
    Bench,
)
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import answer, continuing, hung, offering

# More than a key waits that follows Esc.
ESCAPE_S = 0.2
CTRL_U, CTRL_W, DOWN, LEFT = "\x15", "\x17", "\x1b[B", "\x1b[D"


@pytest.fixture
def plain(live: Bench) -> Iterator[Screen]:
    """A session in lines, once the daemon has been asked; in the end, that no escape sequence was sent."""
    with live.start("--plain") as screen:
        yield screen.wait_for(lambda s: live.daemon.requests)
        assert b"\x1b" not in screen.written


def says(*lines: str):
    """Whether the screen ends with these lines."""
    return lambda screen: screen.lines[-len(lines) :] == list(lines)


def test_a_ghost_is_said_after_enter_and_taken_by_a_key(live: Bench, plain: Screen) -> None:
    plain.type("ROMEO:\r")
    plain.wait_for(says("> ROMEO:", "ghost: Is the day so young?", ">")).type("\t")
    plain.wait_for(says("> Is the day so young?")).type("\r")
    plain.wait_for(says("> Is the day so young?", "ghost: newline BENVOLIO:", ">"))
    assert live.daemon.requests[-1].text == "ROMEO:\nIs the day so young?\n"


def test_a_ghost_is_said_when_asked_for_and_only_then_taken_by_words(plain: Screen) -> None:
    plain.type("Is the d")
    plain.wait_for(says("> Is the d")).type(CTRL_E)
    plain.wait_for(says("> Is the d", "ghost: day so young?", "> Is the d")).type("\x1bf")
    plain.wait_for(says("> Is the day")).type("so")  # typing on in what was said
    plain.wait_for(says("> Is the day so")).type("\t\t")  # nothing more is said, nor taken twice
    plain.wait_for(lambda s: s.lines[-1] == "> Is the day so young?" and s.text.count("ghost:") == 2)
    assert "ghost: end of line" in plain.text


def test_what_was_not_said_is_not_taken(live: Bench, plain: Screen) -> None:
    plain.type("ROMEO:\r")
    plain.wait_for(says("ghost: Is the day so young?", ">"))
    live.daemon.script = continuing("ROMEO:\nBut new struck nine.\n")
    plain.type("But\t")
    plain.wait_for(says("> But", "ghost: new struck nine.", "> But")).type(ESC)
    plain.take_in(ESCAPE_S)  # else it is Alt and a space
    plain.wait_for(says("> But")).type(" new")
    plain.wait_for(says("> But new")).type("\t")  # it was to be forgotten
    plain.wait_for(says("ghost: struck nine.", "> But new"))


def test_there_being_no_ghost_is_said_with_the_reason(live: Bench, plain: Screen) -> None:
    plain.type("zzz\t")
    plain.wait_for(says("> zzz", "no ghost", "> zzz"))
    live.daemon.script = hung
    plain.type("z\t")
    plain.wait_for(says("> zzzz", "no ghost yet: the daemon is slow to answer", "> zzzz"))


def test_a_daemon_that_is_not_there_is_said(bench: Bench) -> None:
    with bench.start("--plain") as screen:
        screen.wait_for(lambda s: "no daemon listens at" in s.text and s.lines[-1] == ">")
        screen.type("RO\t")
        screen.wait_for("no ghost: no daemon")
        with bench.daemon:
            screen.wait_for("ready: scripted").type("\t")
            screen.wait_for(says("ghost: ROMEO:", "> RO"))


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (BACKSPACE * 2, "hello, wor"),
        (CTRL_W, "hello,"),
        ("\x1b\x7f\x1b\x7f", ""),
        (CTRL_U, ""),
        (CTRL_U + UNDO, "hello, world"),
        (LEFT + "s", "hello, worlds"),
        ("\x0c", "hello, world"),
        ("日本" + BACKSPACE, "hello, world日"),
    ],
)
def test_the_line_is_changed_at_its_end(plain: Screen, keys: str, line: str) -> None:
    plain.type("hello, world")
    plain.wait_for(says("> hello, world")).type(keys)
    plain.wait_for(lambda s: s.before_cursor.rstrip() == line)


def test_a_line_too_long_to_be_struck_out_is_begun_anew(plain: Screen) -> None:
    plain.type("x" * 79)
    plain.wait_for(says("> " + "x" * 78, "x")).type(BACKSPACE)
    plain.wait_for(says("> " + "x" * 78, "x", "> " + "x" * 78))


def test_earlier_lines_come_back_and_by_how_they_begin(plain: Screen) -> None:
    for line in ("hello", "help", "other"):
        plain.type(line + "\r")
    plain.wait_for(says("> other", ">")).type("he" + UP)
    plain.wait_for(says("> help")).type(UP)
    plain.wait_for(says("> help", "> hello")).type(DOWN + "\r")
    plain.wait_for(says("> help", ">"))


def test_the_model_writes_on_in_whole_lines_and_can_be_stopped(live: Bench, plain: Screen) -> None:
    plain.type("ROMEO:\rIs the" + ALT_ENTER)
    plain.wait_for(says("> Is the", "> Is the day so young?", "", ">"))

    def stuck(request: protocol.Complete) -> Iterator[protocol.Message]:
        if request.stop == "line":
            return continuing()(request)
        return iter([answer(request, " it?\nNo, and", final=False)])

    live.daemon.script = stuck
    plain.type("Is" + ALT_ENTER)
    plain.wait_for(says("> Is", "> Is it?")).type("meanwhile\r")
    plain.wait_for(says("> Is it?", "> meanwhile")).type(ESC)
    plain.wait_for(lambda s: s.lines[-2:] == ["> meanwhile", ">"] and "  No, and" in s.lines)
    plain.wait_for(lambda s: live.daemon.requests[-1].text.endswith("Is it?\nNo, and\nmeanwhile\n"))


def test_alternatives_are_said_with_their_place(live: Bench, plain: Screen) -> None:
    live.daemon.script = offering(" one\n", " two\n", otherwise=continuing())
    plain.type("RO\t")
    plain.wait_for(says("ghost: ROMEO:", "> RO")).type(CTRL_DOWN)  # the ghost is there: it is the first
    plain.wait_for(says("perhaps 2 of 2: two", "> RO")).type(CTRL_DOWN)
    plain.wait_for(says("perhaps 1 of 2: one", "> RO")).type("\t")
    plain.wait_for(says("> RO one"))


def test_commands_say_their_piece_in_words(live: Bench, plain: Screen) -> None:
    plain.type("ROMEO\r/heat\r")
    plain.wait_for("  0-1  1-2.5  2.5-4  [4-6]  [[6 or more]]  bits").wait_for("  [ROMEO]")
    live.daemon.script = offering("M", "\n", otherwise=continuing())
    plain.type("/next\r")
    plain.wait_for(lambda s: re.search(r"  newline +13.5 %\n", s.text)).type("/s\t")
    plain.wait_for(says("/sample  /save  /set  /stats", "> /s")).type("et as\t")
    plain.wait_for(says("> /set assertiveness")).type(CTRL_C)
    plain.wait_for(says("> /set assertiveness", ">")).type("/help\r")
    plain.wait_for(lambda s: "say the ghost; once it is said, take it" in s.scrollback).type("/stats\r")
    plain.wait_for(lambda s: re.search(r"ghosts +\d+ shown, 0 of them taken", s.text))


def test_ghosts_count_as_shown_once_they_are_said(live: Bench, plain: Screen) -> None:
    plain.type("Is the day\t")
    plain.wait_for("ghost: so young?").type(" so yo\t")
    plain.wait_for(says("> Is the day so young?")).type(CTRL_U + "/stats\r")
    plain.wait_for("ghosts      1 shown, 1 of them taken, 4 characters")


def test_a_crash_loses_nothing_and_the_session_goes_on(live: Bench) -> None:
    with live.start("--plain") as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("ROMEO:\rIs the")
        screen.wait_for(lambda s: any("Is the" in path.read_text() for path in live.journals))
    with live.start("--plain", "--continue") as screen:
        screen.wait_for(says("  continuing a text of 7 characters", "  ROMEO:", "> Is the"))
        screen.type(CTRL_U + CTRL_D)
        assert screen.wait_for_exit() == 0


def test_it_leaves_the_terminal_as_it_was_and_says_how_to_leave(live: Bench) -> None:
    with live.start("--plain") as screen:
        before = screen.attributes
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("hello" + CTRL_C)
        screen.wait_for(says("> hello", ">")).type(CTRL_C)
        screen.wait_for(says("Ctrl-D or /quit ends the session", ">")).type("/quit\rx\r")
        assert screen.wait_for_exit() == 0
        assert screen.attributes == before
        assert screen.lines[-1] == "> /quit"


@pytest.mark.parametrize(("setting", "escapes"), [("auto", False), ("never", True)])
def test_a_dumb_terminal_gets_lines_unless_told_otherwise(live: Bench, setting: str, escapes: bool) -> None:
    live.env["TERM"] = "dumb"
    live.configure(f'plain = "{setting}"\n')
    with live.start() as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("ROMEO:\r/quit\r")
        assert screen.wait_for_exit() == 0
        assert (b"\x1b" in screen.written) == escapes


def test_where_the_other_end_shows_what_is_typed_it_is_not_shown_twice(live: Bench) -> None:
    """As in Emacs' shell, which sends whole lines."""
    quiet = [sys.executable, "-c", NO_ECHO, *CHARREPL, "--endpoint", live.daemon.endpoint, "--plain"]
    with Screen(quiet, env=live.env) as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("ROMEO:\n")
        screen.wait_for("ghost: Is the day so young?").type("\t")
        screen.wait_for("> Is the day so young?").type("\n")
        screen.wait_for("BENVOLIO")
        assert "> ROMEO:" not in screen.text
        screen.send("one\ttwo\n/x\n")  # several lines, and the Enter that sent them
        screen.wait_for(lambda s: live.daemon.requests[-1].text.endswith("young?\none\ttwo\n/x\n"))


NO_ECHO = """
import os, sys, termios
attributes = termios.tcgetattr(0)
attributes[3] &= ~termios.ECHO
termios.tcsetattr(0, termios.TCSANOW, attributes)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_own_keys_hold_in_lines_too(live: Bench) -> None:
    live.configure('plain = "always"\n[keys]\ntake = "Ctrl-T"\nredraw = "Ctrl-W"\n')
    with live.start() as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("Is\t\x14")
        screen.wait_for(says("> Is", "ghost: the day so young?", "> Is")).type("\x17")
        screen.wait_for(says("> Is", "> Is"))


@pytest.mark.parametrize(
    ("text", "rest", "nats", "said"),
    [
        ("good my lor", "d.\n", -0.01, "ghost: lord."),
        ("good my", " lord.\n", -0.01, "ghost: lord."),
        ("good my ", "lord.\n", -0.01, "ghost: lord."),
        ("good\n", "my lord and", -0.2, "ghost: my lord and"),  # less sure only after its first word
        ("good my lor", "d.\n", -0.9, "perhaps: lord."),
        ("lord.", "\nExeunt\n", -0.01, "ghost: newline Exeunt"),
        ("", "\n", -0.01, "ghost: end of line"),
        ("a", "\x1b[2J\n", -0.01, "ghost: a␛[2J"),
    ],
)
def test_a_ghost_in_words(text: str, rest: str, nats: float, said: str) -> None:
    found = Ghost(text=text, rest=rest, source=Answer(text, rest, (nats,) * len(rest)))
    assert told(found) == said


def test_surprise_in_brackets() -> None:
    assert passage([("class:heat.0", "a"), ("class:heat.3", "b"), ("class:heat.4", "↵"), ("", "\x07\n")]) == (
        "a[b][[newline]]␇\n"
    )


def test_a_teletype_only_ever_adds_at_the_end() -> None:
    written: list[str] = []
    paper = LinePrinter(written.append)
    for line in ("", "ab", "ab日", "ab", "xb", "xb\ny", "xb\n", "xb"):
        paper.show(line)
    paper.print("note")
    paper.show("xb")
    paper.end()
    assert written == [
        "> ",
        "ab",
        "日",
        "\b \b" * 2,
        "\n> xb",
        "\n  y",
        "\b \b",
        "\n> xb",
        "\n",
        "note\n",
        "> xb",
        "\n",
    ]


def test_every_character_is_taken_and_struck_out_as_people_see_it(live: Bench, plain: Screen) -> None:
    kept = "a\u00a0\u3000\u200b\u200eb" + FAMILY + FLAG + "e\u0301\u0938\u094d\u0924\u0947" + "\ufeffc"
    plain.type(kept + "xe\u0301" + BACKSPACE * 2)
    plain.wait_for(lambda s: live.daemon.requests[-1].text == kept)
    plain.type("n" + THUMB + FAMILY + BACKSPACE)
    plain.wait_for(lambda s: live.daemon.requests[-1].text == kept + "n" + THUMB)
    plain.type(BACKSPACE)  # one whose width is not known is not struck out: the line begins anew
    plain.wait_for(lambda s: live.daemon.requests[-1].text == kept + "n" and s.text.count("> a") == 3)
    plain.type(f"\r/save {live.place}/kept\r")
    plain.wait_for(lambda s: (live.place / "kept").exists())
    assert (live.place / "kept").read_text() == kept + "n\n"
