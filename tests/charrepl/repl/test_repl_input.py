"""What a terminal sends beside keys, and pastes, in the prompt and in lines: what of it is text."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from charrepl.terminal.terminal_input import LONG_CHARS, PATIENCE_S, is_paste
from tests.charrepl.prompt import CTRL_C, CTRL_D, ESC, UNDO, UP, Bench
from tests.charrepl.repl.test_repl_autosave import kept
from tests.charrepl.screen import Screen

BEGIN, END = "\x1b[200~", "\x1b[201~"
SAID = (
    "\x1b[I\x1b[O\x1b[?1;2c\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\\x1bP1$r0m\x1b\\\x1b]52;c;aGVsbG8=\x07\x1b[24;80R"
    "\x1b[<0;10;5M\x1b[M !!\x1b[97;1:3u\x1b[57441u\x1b_Gi=1;OK\x1b\\\x9d10;rgb:0/0/0\x9c\x1b[1;2y"
)


@pytest.fixture(params=["prompt", "lines"])
def screen(request: pytest.FixtureRequest, live: Bench) -> Iterator[Screen]:
    """A session at the prompt, and one in lines."""
    with live.start(*["--plain"] * (request.param == "lines")) as screen:
        yield screen.wait_for(lambda s: live.daemon.requests)


def holds(live: Bench, screen: Screen, text: str, line: str) -> None:
    """Waits until the text and the line are these."""
    screen.wait_for(lambda s: kept(live) == {(text, line)})


def test_what_the_terminal_says_is_not_typed_by_the_writer(live: Bench, screen: Screen) -> None:
    screen.send(f"a{SAID}b")
    holds(live, screen, "", "ab")
    for char in SAID:
        screen.send(char)  # as slow lines bring it, or all at once
    screen.type("c\x1b[13u")
    holds(live, screen, "abc\n", "")
    screen.send("de\x1b[27;5;99~f")  # Ctrl-C, as xterm sends it where it is told to
    holds(live, screen, "abc\n", "f")
    screen.send("\x1b]11;rgb:ff")  # and never an end
    screen.take_in(PATIENCE_S)
    screen.wait_for(lambda s: not s.type("x") and kept(live) != {("abc\n", "f")})
    assert kept(live).pop()[1].rstrip("x") == "f"


def test_a_paste_whose_end_never_comes_is_in_the_line_after_a_moment_and_keys_work(
    live: Bench, screen: Screen
) -> None:
    screen.send(f"{BEGIN}one\ttwo\r\nthr")
    screen.send("ee")
    holds(live, screen, "", "one\ttwo\nthree")
    screen.type("!" + CTRL_C)
    holds(live, screen, "", "")
    screen.send(f"{BEGIN}one")
    screen.wait_for(lambda s: not s.unread)
    screen.send(CTRL_C)  # at once: what was pasted is the line that it clears
    holds(live, screen, "", "")
    screen.type(UNDO)
    holds(live, screen, "", "one")
    screen.send(f"{CTRL_C}{BEGIN}two")
    screen.wait_for(lambda s: not s.unread).send(ESC)
    holds(live, screen, "", "two")
    screen.send(f"{CTRL_C}{END}{BEGIN}a\x1b[A{BEGIN}b\x1b[20")  # ends and beginnings where they do not belong
    screen.send("1~c")
    holds(live, screen, "", "a\x1b[Abc")


def test_a_paste_on_a_line_that_stalls_stays_whole(live: Bench, screen: Screen) -> None:
    lines = [f"line {number}\twith a tab" for number in range(6)]
    screen.send(BEGIN + lines[0] + "\r")
    for line in lines[1:]:
        screen.take_in(PATIENCE_S * 0.6)
        screen.send(line + "\r")
    screen.send(END)
    holds(live, screen, "", "\n".join(lines) + "\n")


@pytest.mark.parametrize("way", ["death", "ending"])
def test_a_paste_that_the_end_of_the_session_interrupts_is_kept(
    live: Bench, screen: Screen, way: str
) -> None:
    screen.send(f"{BEGIN}one\rtwo")
    screen.wait_for(lambda s: not s.unread)
    if way == "ending":
        os.kill(screen.pid, signal.SIGTERM)
    else:
        screen.hang_up()
    screen.wait_for_exit()
    assert kept(live) == {("", "one\ntwo")}


def test_pasted_slashes_are_text_as_it_is(live: Bench, screen: Screen) -> None:
    text = ""
    for pasted in ("/* a comment */", "/usr/lib/x: not found\nsecond", "//", "/quit\nand more", "// TODO"):
        screen.send(f"{BEGIN}{pasted}{END}")
        holds(live, screen, text, pasted if not pasted.startswith("//") else f"/{pasted}")
        screen.type("\r")
        text += pasted + "\n"
        holds(live, screen, text, "")
    screen.type(UP + "\r")  # from the history, it is what it was
    holds(live, screen, text + "// TODO\n", "")


def test_what_names_no_command_is_text_with_a_notice(live: Bench, screen: Screen) -> None:
    screen.type("/hlep\r")
    screen.wait_for("no command /hlep: did you mean /help?; added as text, /undo takes it back")
    holds(live, screen, "/hlep\n", "")
    screen.type("/undo\r")
    holds(live, screen, "", "/hlep")
    screen.type(CTRL_C + "//help\r")
    holds(live, screen, "/help\n", "")


def test_without_marks_several_keys_at_once_with_tabs_or_newlines_are_a_paste(
    live: Bench, screen: Screen
) -> None:
    screen.send("def f():\r\treturn 'x'\r")
    holds(live, screen, "", "def f():\n\treturn 'x'\n")
    screen.type("\r" + UNDO)
    holds(live, screen, "def f():\n\treturn 'x'\n", "")
    screen.send("ROMEO\r")  # a line and its Enter, as scripts send it
    holds(live, screen, "def f():\n\treturn 'x'\nROMEO\n", "")
    long = "".join(f"{number}\ta line of a book\r\n" for number in range(1000))
    screen.send(long)
    holds(live, screen, "def f():\n\treturn 'x'\nROMEO\n", long.replace("\r\n", "\n"))


def test_empty_lines_that_gnu_screen_pastes_are_kept(live: Bench, screen: Screen) -> None:
    screen.send("one\r\ntwo\r\n\rthree\r")
    holds(live, screen, "", "one\n\ntwo\n\n\nthree\n")


def test_alt_and_a_character_that_has_no_meaning_types_nothing(live: Bench, screen: Screen) -> None:
    screen.type("a")
    for char in "zBé ":
        screen.send(f"\x1b{char}")
        screen.wait_for(lambda s: not s.unread)
    screen.send(f"\x1b[122;3u\x1b{BEGIN}b\nc{END}")  # Esc and a paste lose none of it
    holds(live, screen, "", "ab\nc")


def test_a_terminal_of_seven_bits_reads_all_letters(live: Bench) -> None:
    shell = ["sh", "-c", 'stty istrip; exec "$@"', "sh"]
    with Screen([*shell, *live.command()], env=live.env) as screen:
        screen.wait_for(lambda s: live.daemon.requests).type("né")
        holds(live, screen, "", "né")


@pytest.mark.parametrize("run", ["a\tb", "\tb", "a\rb", "one\r\ntwo", "\r\ta", "x" * LONG_CHARS])
def test_runs_that_are_pastes(run: str) -> None:
    assert is_paste(run)


@pytest.mark.parametrize(
    "run", ["", "hello", "hello\r", "hello\r\n", "he\t", "\t", "\t\t", "\rhe", "\r\r", "he\t\r"]
)
def test_runs_that_were_typed(run: str) -> None:
    assert not is_paste(run)


def test_megabytes_can_be_pasted_typed_on_and_left(live: Bench) -> None:
    pasted = "All the world's a stage,\n" * 160_000
    with live.repl() as screen:
        screen.send(f"{BEGIN}{pasted}THE END{END}")
        screen.wait_for(lambda s: s.before_cursor == "THE END")
        screen.type("!")
        screen.wait_for(lambda s: s.before_cursor == "THE END!")
        screen.type(CTRL_C)
        screen.wait_for(lambda s: s.before_cursor == "").type(CTRL_D)
        assert screen.wait_for_exit() == 0


def test_tab_without_a_ghost_says_what_it_would_do_and_how_to_type_one(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("zzz\t")
        screen.wait_for("no ghost: Tab would take the ghost; Ctrl-V and then Tab types a tab")
        screen.type("\x16")
        screen.type("\t\x16")
        screen.type("\x1b[Ax")  # of a sequence, nothing is typed
        holds(live, screen, "", "zzz\tx")


def test_a_tab_can_be_typed_in_lines(live: Bench) -> None:
    with live.start("--plain") as screen:
        screen.wait_for(lambda s: live.daemon.requests).type("a\x16")
        screen.type("\tb")
        holds(live, screen, "", "a\tb")


@pytest.mark.parametrize("lines", [[], ["--plain"]], ids=["prompt", "lines"])
def test_what_an_ascii_locale_lacks_is_kept_as_it_was_typed(live: Bench, lines: list[str]) -> None:
    live.env |= {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with live.start(*lines) as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("né 你好")
        holds(live, screen, "", "né 你好")
