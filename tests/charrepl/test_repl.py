"""The REPL in a real terminal, against a daemon that can be made to hang, lie and die."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charrepl import protocol
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import ScriptedDaemon, after, answer, continuing, hung

RUN = "import sys; from charrepl.repl import run; sys.exit(run(**eval(sys.argv[1])))"
READY = "shakespeare · scripted"
CTRL_C, CTRL_D, CTRL_E, CTRL_F, UNDO, ESC = "\x03", "\x04", "\x05", "\x06", "\x1f", "\x1b"
BACKSPACE, LEFT, RIGHT, UP, END = "\x7f", "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[F"
SHIFT_TAB, SHIFT_RIGHT, CTRL_RIGHT, ALT_RIGHT = "\x1b[Z", "\x1b[1;2C", "\x1b[1;5C", "\x1b[1;3C"


class Bench:
    """A REPL and its daemon, in places of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.daemon = ScriptedDaemon(place / "d.sock", continuing())
        self.env = {
            **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
            "TERM": "xterm-256color",
            "CHARREPL_DATA_DIR": str(place / "data"),
            "CHARREPL_CONFIG_DIR": str(place / "config"),
            "CHARREPL_RUNTIME_DIR": str(place / "run"),
        }

    def repl(self, *, columns: int = 80, rows: int = 24, ready: str = READY, **options: object) -> Screen:
        command = [sys.executable, "-c", RUN, repr({"endpoint": self.daemon.endpoint, **options})]
        screen = Screen(command, env=self.env, columns=columns, rows=rows)
        return screen.wait_for(ready)


@pytest.fixture
def bench() -> Iterator[Bench]:
    place = Path(tempfile.mkdtemp(prefix="cr-"))  # short: a socket's path may have 107 bytes
    try:
        yield Bench(place)
    finally:
        shutil.rmtree(place)


@pytest.fixture
def live(bench: Bench) -> Iterator[Bench]:
    with bench.daemon:
        yield bench


# Runs the command as installed, but importing prompt_toolkit waits for a line in a fifo. Not in `open`:
# a signal that comes just before a call that blocks does not end it.
HELD_UP = """
import importlib.abc, os, select, sys
class Wait(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "prompt_toolkit":
            gate = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
            while not select.select([gate], [], [], 0.05)[0]:
                pass
sys.meta_path.insert(0, Wait())
from charrepl.cli import main
main(sys.argv[2:])
"""


def shows(ghost: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.ghost == ghost


def typed(line: str) -> Callable[[Screen], bool]:
    return lambda screen: screen.before_cursor == line


def test_neither_jax_nor_the_wire_is_imported_before_the_first_paint() -> None:
    late = "{'jax', 'zmq', 'msgspec', 'charrepl.connection', 'charrepl.protocol', 'pygments'}"
    code = f"import charrepl.repl, sys; sys.exit(sorted({late} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stderr.strip() in ("", "[]"), found.stderr


def test_the_prompt_is_there_before_what_takes_long_to_import_and_no_key_is_lost(live: Bench) -> None:
    gate = live.place / "gate"
    os.mkfifo(gate)
    command = [sys.executable, "-c", HELD_UP, str(gate), "--endpoint", live.daemon.endpoint]
    with Screen(command, env=live.env) as screen:
        before = screen.attributes
        screen.wait_for(lambda s: s.lines == [">"] and s.cursor == (2, 0))
        screen.type("RO" + ESC + "x\rhello")
        assert screen.lines == [">"]
        gate.write_text("go on")
        screen.wait_for(lambda s: s.before_cursor == "hello" and "> RO" in s.text).type(CTRL_C + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.attributes == before


@pytest.mark.parametrize("config", ["", 'modle = "tiny"'])
def test_an_early_prompt_leaves_nothing_behind(live: Bench, config: str) -> None:
    (live.place / "config").mkdir()
    (live.place / "config" / "config.toml").write_text(config)
    gate = live.place / "gate"
    os.mkfifo(gate)
    with Screen([sys.executable, "-c", HELD_UP, str(gate)], env=live.env) as screen:
        before = screen.attributes
        screen.wait_for(lambda s: s.cursor == (2, 0))
        if config:
            gate.write_text("go on")
        else:
            screen.type(CTRL_C)
        assert screen.wait_for_exit() == (1 if config else 130)
        assert screen.attributes == before
        assert not screen.text.startswith(">")
        assert ("unknown setting modle" in screen.text) == bool(config)


def test_a_dumb_terminal_gets_no_early_prompt(live: Bench) -> None:
    live.env["TERM"] = "dumb"
    gate = live.place / "gate"
    os.mkfifo(gate)
    with Screen([sys.executable, "-c", HELD_UP, str(gate)], env=live.env) as screen:
        gate.write_text("go on")
        screen.wait_for(lambda s: s.written)
        assert not screen.written.startswith(b"\x1b[0;1m> ")


@pytest.mark.parametrize("key", ["\t", RIGHT, END, CTRL_E, CTRL_F])
def test_a_key_takes_the_whole_ghost_and_undo_gives_it_back_in_one_step(live: Bench, key: str) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows("Is the day so young?↵")).type("Is ")
        screen.wait_for(shows("the day so young?↵")).type(key)
        screen.wait_for(lambda s: "> Is the day so young?" in s.text and s.ghost == "BENVOLIO:↵")
        screen.type(UNDO)
        screen.wait_for(lambda s: s.before_cursor == "Is " and s.ghost == "the day so young?↵")


@pytest.mark.parametrize(
    ("key", "line", "rest"),
    [
        ("\x1bf", "Is the ", "day so young?↵"),
        (ALT_RIGHT, "Is the ", "day so young?↵"),
        (CTRL_RIGHT, "Is the ", "day so young?↵"),
        (SHIFT_RIGHT, "Is t", "he day so young?↵"),
    ],
)
def test_a_key_takes_a_part_of_the_ghost(live: Bench, key: str, line: str, rest: str) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs ")
        screen.wait_for(shows("the day so young?↵")).type(key)
        screen.wait_for(lambda s: s.before_cursor == line and s.ghost == rest)


def test_shift_tab_takes_a_line_of_a_ghost_of_several(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "\none\ntwo")])
    with live.repl() as screen:
        screen.wait_for(shows("one\ntwo")).type(SHIFT_TAB)
        screen.wait_for(lambda s: s.lines[1:2] == ["  one"] and s.cursor == (2, 2))


def test_typing_through_a_ghost_asks_nothing_and_never_blanks_it(live: Bench) -> None:
    line = "Is the day so young?"
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows(line + "↵"))
        asked, frames = len(live.daemon.requests), len(screen.frames)
        for count in range(1, len(line) + 1):
            screen.type(line[count - 1])
            screen.wait_for(typed(line[:count]))
            assert screen.ghost == line[count:] + "↵"
        assert len(live.daemon.requests) == asked
        for frame in screen.frames[frames:]:
            assert f"> {line}↵" in frame


def test_enter_types_through_the_newline_of_a_ghost(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "ROMEO:\nIs the day so young?")])
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:\nIs the day so young?"))
        asked = len(live.daemon.requests)
        screen.type("ROMEO:\r")
        screen.wait_for(lambda s: "> ROMEO:\n>" in s.text and s.ghost == "Is the day so young?")
        assert len(live.daemon.requests) == asked


def test_backspace_restores_the_ghost_without_a_request(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type("x")
        screen.wait_for(shows("")).wait_for(lambda s: live.daemon.requests[-1].text == "ROx")
        asked = len(live.daemon.requests)
        screen.type(BACKSPACE)
        screen.wait_for(shows("MEO:↵"))
        assert len(live.daemon.requests) == asked


def test_escape_dismisses_the_ghost_until_the_text_leaves_it(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(ESC)
        screen.wait_for(shows("")).type("ME")
        screen.wait_for(typed("ROME"))
        assert screen.ghost == ""
        screen.type(BACKSPACE * 3)
        screen.wait_for(shows("OMEO:↵"))


def test_keys_keep_their_meaning_inside_the_line(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROME")
        screen.wait_for(shows("O:↵")).type(LEFT * 3)
        screen.wait_for(shows("")).type(RIGHT)
        screen.wait_for(typed("RO")).type(CTRL_E)
        screen.wait_for(lambda s: s.before_cursor == "ROME" and s.ghost == "O:↵")


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


def test_commands(live: Bench) -> None:
    with live.repl(rows=40) as screen:
        screen.type("/help\r")
        screen.wait_for("Alt-F          take its next word").type("/nonsense\r")
        screen.wait_for("no command /nonsense: /help lists them").type("/temp\r")
        screen.wait_for("temperature 0 (greedy)").type("/temp warm\r")
        screen.wait_for("/temp warm: expected a number from 0 (greedy) to 10").type("/temp 0.8\r")
        screen.wait_for(lambda s: live.daemon.requests[-1].decoding.temperature == 0.8)
        screen.wait_for("shakespeare · scripted · temperature 0.8").type("/model\r")
        screen.wait_for("* shakespeare  3 x 512").type("/model tinny\r")
        screen.wait_for("no model named tinny: did you mean tiny?").type("/model tiny\r")
        screen.wait_for("tiny · scripted")
        screen.wait_for(lambda s: live.daemon.requests[-1].model == "tiny")
        screen.type("/model some/where\r")
        screen.wait_for(lambda s: live.daemon.requests[-1].model == str(Path.cwd() / "some/where"))
        assert live.daemon.requests[-1].text == ""  # commands are not part of the text


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


@pytest.mark.parametrize("script", [hung, after(0.2, continuing())], ids=["hung", "slow"])
def test_keys_work_whatever_the_daemon_does(
    live: Bench, script: Callable[[protocol.Complete], Iterator[protocol.Message]]
) -> None:
    live.daemon.script = script
    with live.repl() as screen:
        for count in range(1, 21):
            screen.type("x")
            screen.wait_for(typed("x" * count))
        if script is hung:
            screen.wait_for("the daemon is slow to answer")
        screen.type("\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.lines == ["> " + "x" * 20]


def test_keys_work_without_a_daemon(bench: Bench) -> None:
    with bench.repl(ready="no daemon") as screen:
        screen.type("hello\rworld")
        screen.wait_for(typed("world"))
        assert screen.lines[0] == "> hello"


def test_a_daemon_that_dies_while_typing_costs_nothing(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs")
        screen.wait_for(shows(" the day so young?↵"))
        live.daemon.stop()
        screen.type("x the")
        screen.wait_for(typed("Isx the")).wait_for(lambda s: READY not in s.text)
        screen.type(BACKSPACE * 5 + " the")
        screen.wait_for(typed("Is the"))
        live.daemon.requests.clear()
        live.daemon.start()
        screen.wait_for(READY).wait_for(shows(" day so young?↵"))
        screen.wait_for(lambda s: [request.text for request in live.daemon.requests] == ["ROMEO:\nIs the"])


def test_a_lying_daemon_cannot_corrupt_the_screen_or_the_text(live: Bench) -> None:
    def lies(request: protocol.Complete) -> Iterator[protocol.Message]:
        yield answer(request, "\x1b[2Jabc\x07\x9bm", final=False)
        yield answer(request, "something else", final=False)
        yield protocol.Superseded(seq=request.seq, session=request.session)

    live.daemon.script = lies
    with live.repl() as screen:
        screen.type("hello")
        screen.wait_for(lambda s: s.before_cursor == "hello" and s.ghost == "␛[2Jabc␇�m")
        assert b"\x07" not in screen.written
        assert b"\x1b[2J" not in screen.written
        assert "\x9b".encode() not in screen.written


def test_an_error_of_the_daemon_is_one_line_in_the_toolbar(live: Bench) -> None:
    live.daemon.script = lambda request: iter(
        [protocol.Error(seq=request.seq, code="no_model", message="no model named x: train one")]
    )
    with live.repl(ready="no model named x: train one") as screen:
        screen.type("hello")
        screen.wait_for(typed("hello")).wait_for("no model named x: train one")
        assert len(live.daemon.requests) <= 6  # it is not asked again and again


def test_a_busy_daemon_is_asked_once_more(live: Bench) -> None:
    ghosts = continuing()

    def busy_once(request: protocol.Complete) -> Iterator[protocol.Message]:
        if len(live.daemon.requests) == 1:
            return iter([protocol.Error(seq=request.seq, code="busy", message="try again in a moment")])
        return ghosts(request)

    live.daemon.script = busy_once
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵"))
        assert [request.text for request in live.daemon.requests] == ["", ""]


def test_a_daemon_that_stays_busy_is_left_alone_and_says_so(live: Bench) -> None:
    live.daemon.script = lambda request: iter(
        [protocol.Error(seq=request.seq, code="busy", message="try again in a moment")]
    )
    with live.repl(ready="try again in a moment") as screen:
        assert [request.text for request in live.daemon.requests] == ["", ""]
        screen.type("x")
        screen.wait_for(READY).wait_for("try again in a moment")
        assert [request.text for request in live.daemon.requests] == ["", "", "x", "x"]


def test_another_model_that_becomes_the_default_does_not_take_over(live: Bench) -> None:
    with live.repl() as screen:
        live.daemon.stop()
        screen.wait_for(lambda s: READY not in s.text)
        live.daemon.models.reverse()
        live.daemon.start()
        screen.wait_for(READY).type("x")
        screen.wait_for(lambda s: [r.model for r in live.daemon.requests if r.text == "x"] == ["shakespeare"])


def test_the_users_own_daemon_is_asked_for_the_default_model_by_name(bench: Bench) -> None:
    run = bench.place / "run"
    run.mkdir(mode=0o700)
    model = bench.place / "data" / "models" / "lamp"
    (model / "checkpoints" / "best-00000001").mkdir(parents=True)
    (model / "config.toml").touch()
    bench.daemon = ScriptedDaemon(run / "daemon.sock", continuing())
    with bench.daemon, bench.repl(endpoint=None, ready="lamp · scripted") as screen:
        screen.wait_for(shows("ROMEO:↵"))
        assert {request.model for request in bench.daemon.requests} == {"lamp"}


def test_control_characters_typed_are_drawn_as_glyphs(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("a\x11\x07b")  # Ctrl-Q takes the next key literally
        screen.wait_for("> a^Gb").type("\r")
        screen.wait_for("> a␇b")
        assert b"\x07" not in screen.written


def test_a_ghost_of_several_lines_is_drawn_below_and_leaves_nothing_behind(live: Bench) -> None:
    live.daemon.script = lambda request: iter(
        [answer(request, "\nfirst\nsecond" if not request.text else "")]
    )
    with live.repl() as screen:
        screen.wait_for(shows("first\nsecond"))
        screen.wait_for(lambda s: s.lines[:3] == [">", "  first", "  second"] and s.cursor == (2, 0))
        screen.type("x")
        screen.wait_for(lambda s: "second" not in s.text)


@pytest.mark.parametrize("columns", [20, 33])
def test_a_long_wide_ghost_wraps_within_the_screen_and_is_cut_with_a_mark(live: Bench, columns: int) -> None:
    live.daemon.script = lambda request: iter([answer(request, "日本語" * 40)])
    with live.repl(columns=columns, rows=6, ready="…") as screen:
        # pyte keeps an empty cell behind each wide character
        screen.wait_for(lambda s: re.fullmatch(r"[日本語\n]+…", s.ghost) and s.cursor == (2, 0))


def test_a_resize_leaves_nothing_of_the_ghost_behind(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows("Is the day so young?↵"))
        for columns in (60, 100, 30):
            screen.resize(columns, 20)
            screen.type("\x0c")  # redraws
            screen.wait_for(lambda s: s.ghost == "Is the day so young?↵" and s.text.count("young") == 1)


def test_vi_mode_has_the_ghost_in_insert_mode_only(live: Bench) -> None:
    with live.repl(vi=True) as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(ESC)
        screen.wait_for(lambda s: s.ghost == "" and s.before_cursor == "R").type("A")
        screen.wait_for(lambda s: s.before_cursor == "RO" and s.ghost == "MEO:↵").type("\t")
        screen.wait_for("> ROMEO:")


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
        screen.wait_for("> hello").type(UP)
        screen.wait_for(typed("hello"))


def test_up_right_after_enter_finds_the_line_even_in_the_same_read(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("first\rsecond\r" + UP + UP + "!")
        screen.wait_for(typed("first!"))


def test_no_color_keeps_the_ghost_apart_from_the_text(live: Bench) -> None:
    live.env["NO_COLOR"] = "1"
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵"))
        assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|38)[;m]", screen.written.replace(b"\x1b[0;2;3m", b""))


def test_the_configuration_is_followed_and_a_mistake_in_it_named(live: Bench) -> None:
    (live.place / "config").mkdir()
    config = live.place / "config" / "config.toml"
    config.write_text('model = "tiny"\nmin_confidence = 0.5\ntemperature = 0.7\n')
    with live.repl(ready="tiny · scripted") as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        request = live.daemon.requests[-1]
        assert (request.model, request.min_confidence, request.decoding.temperature) == ("tiny", 0.5, 0.7)
    config.write_text('\nmodle = "tiny"\n')
    with live.repl(ready="config.toml:2: unknown setting modle: did you mean model?", columns=200) as screen:
        assert screen.wait_for_exit() == 1


def test_gnu_screen_gets_no_italics_which_it_would_draw_reversed(live: Bench) -> None:
    live.env["TERM"] = "screen"
    live.env.pop("TMUX", None)
    with live.repl() as screen:
        screen.wait_for("ROMEO:↵")
        assert b"\x1b[0;2m" in screen.written
        assert not re.search(rb"\x1b\[[0-9;]*\b3m", screen.written)


def test_bytes_written_for_a_typed_through_character_are_few(live: Bench) -> None:
    line = "Is the day so young"
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows(line + "?↵"))
        before = len(screen.written)
        for count in range(1, len(line) + 1):
            screen.type(line[count - 1])
            screen.wait_for(typed(line[:count]))
        assert (len(screen.written) - before) / len(line) <= 40
