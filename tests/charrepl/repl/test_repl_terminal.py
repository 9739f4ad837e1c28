"""The prompt and its terminal: the first paint, colours, sizes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.charrepl.prompt import CTRL_C, CTRL_D, ESC, READY, UP, Bench, shows
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import answer, continuing


def test_neither_jax_nor_the_wire_is_imported_before_the_first_paint() -> None:
    late = "{'jax', 'zmq', 'msgspec', 'charrepl.client.connection', 'charrepl.wire.protocol', 'pygments'}"
    code = f"import charrepl.repl.application, sys; sys.exit(sorted({late} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stderr.strip() in ("", "[]"), found.stderr


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
from charrepl.cli.main import main
main(sys.argv[2:])
"""


def test_the_prompt_is_there_before_what_takes_long_to_import_and_no_key_is_lost(live: Bench) -> None:
    gate = live.place / "gate"
    os.mkfifo(gate)
    command = [sys.executable, "-c", HELD_UP, str(gate), "--endpoint", live.daemon.endpoint]
    with Screen(command, env=live.env) as screen:
        before = screen.attributes
        screen.wait_for(lambda s: s.lines == [">"] and s.cursor == (2, 0))
        screen.send("RO" + ESC + "x\rhello")
        assert screen.lines == [">"]
        gate.write_text("go on")
        screen.wait_for(lambda s: s.before_cursor == "hello" and "> RO" in s.text).type(CTRL_C + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.attributes == before


@pytest.mark.parametrize("arguments", [(), ("--continue",)])
def test_an_early_prompt_leaves_nothing_behind(live: Bench, arguments: tuple[str, ...]) -> None:
    gate = live.place / "gate"
    os.mkfifo(gate)
    with Screen([sys.executable, "-c", HELD_UP, str(gate), *arguments], env=live.env) as screen:
        before = screen.attributes
        screen.wait_for(lambda s: s.cursor == (2, 0))
        if arguments:
            gate.write_text("go on")
        else:
            screen.type(CTRL_C)
        assert screen.wait_for_exit() == (1 if arguments else 130)
        assert screen.attributes == before
        assert not screen.text.startswith(">")
        assert ("there is no text to continue" in screen.text) == bool(arguments)


def test_a_dumb_terminal_gets_no_early_prompt(live: Bench) -> None:
    live.env["TERM"] = "dumb"
    gate = live.place / "gate"
    os.mkfifo(gate)
    command = [sys.executable, "-c", HELD_UP, str(gate), "--endpoint", live.daemon.endpoint]
    with Screen(command, env=live.env) as screen:
        gate.write_text("go on")
        screen.wait_for(lambda s: s.written)
        assert not screen.written.startswith(b"\x1b[0;1m> ")


def test_control_characters_typed_are_drawn_as_glyphs(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("a\x11\x07b")  # Ctrl-Q takes the next key literally
        screen.wait_for("> a^Gb").type("\r")
        screen.wait_for("> a␇b")
        assert b"\x07" not in screen.written


def test_a_resize_leaves_nothing_of_the_ghost_behind(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\r")
        screen.wait_for(shows("Is the day so young?↵"))
        for columns in (60, 100, 30):
            screen.resize(columns, 20)
            screen.wait_for(lambda s: s.ghost == "Is the day so young?↵" and s.text.count("young") == 1)


def test_what_an_input_method_commits_at_once_is_one_change(live: Bench) -> None:
    live.daemon.script = continuing("日本語を書く人\n")
    with live.repl() as screen:
        screen.wait_for("↵")
        asked = len(live.daemon.requests)
        with screen.watched(lambda s: "書く人↵" in s.text or pytest.fail(s.text)):
            screen.type("日本語を")  # through the ghost
            screen.wait_for(lambda s: s.cursor == (10, 0))
        assert len(live.daemon.requests) == asked
        screen.type("読む")
        screen.wait_for(lambda s: s.cursor == (14, 0) and "↵" not in s.text)
        screen.wait_for(lambda s: [r.text for r in live.daemon.requests[asked:]] == ["日本語を読む"])
        screen.type("\u202eab")  # which would have the terminal write backwards
        screen.wait_for("読むab").type("\r")
        screen.wait_for(lambda s: "読むab\n>" in s.text and s.before_cursor == "")
        assert "\u202e".encode() not in screen.written


def test_a_text_of_more_rows_than_the_screen_is_all_there_once(live: Bench) -> None:
    lines = [f"line {number}" for number in range(50)]
    ghost = " and\nso on"
    live.daemon.script = lambda request: iter([answer(request, ghost if request.text.endswith("49") else "")])
    with live.repl() as screen:
        screen.type(f"\x1b[200~{chr(10).join(lines)}\x1b[201~")
        screen.wait_for(lambda s: s.before_cursor == "line 49" and s.ghost == ghost).type(UP * 49)
        screen.wait_for(lambda s: s.lines[0] == "> line 0" and s.cursor == (8, 0)).type("!")
        screen.wait_for("> line 0!").type("\x1b>")  # Alt->, to the end
        screen.wait_for(shows(ghost)).type("\r")
        screen.wait_for(lambda s: s.before_cursor == "" and s.lines[-3:-1] == [">", ""])
        shown = screen.scrollback.split("\n")
        first = shown.index("> line 0!")
        assert shown[first : first + 50] == ["> line 0!", *(f"  {line}" for line in lines[1:])]
        assert screen.scrollback.count("line 7\n") == 1
        assert "so on" not in screen.scrollback


def test_stopped_and_continued_it_is_as_it_was_and_leaves_no_ghost_with_the_shell(live: Bench) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Screen(shell, env={**live.env, "PS1": "$ "}) as screen:
        screen.wait_for("$").type(shlex.join(live.command()) + "\r")
        screen.wait_for(READY).type("ROMEO:\rIs")
        screen.wait_for(shows(" the day so young?↵")).type("\x1a")  # Ctrl-Z
        screen.wait_for("Stopped")
        assert "young" not in screen.scrollback
        assert b"\x1b[?2004l" in screen.written
        screen.type("fg\r")
        screen.wait_for(lambda s: s.before_cursor == "Is" and s.ghost == " the day so young?↵").type(" ")
        screen.wait_for(shows("the day so young?↵")).type(CTRL_C + "Is")
        screen.wait_for(shows(" the day so young?↵")).type(CTRL_C + CTRL_D)
        screen.wait_for(lambda s: s.lines[-1:] == ["$"] and READY not in s.text)
        assert "young" not in screen.scrollback
        screen.type("exit\r")
        assert screen.wait_for_exit() == 0


def test_no_color_keeps_the_ghost_apart_from_the_text(live: Bench) -> None:
    live.env["NO_COLOR"] = "1"
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵"))
        assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|38)[;m]", screen.written.replace(b"\x1b[0;2;3m", b""))


def test_the_configuration_is_followed_and_a_mistake_in_it_named(live: Bench) -> None:
    live.configure('model = "tiny"\nassertiveness = "bold"\ntemperature = 0.7\n')
    live.daemon.script = lambda request: iter([answer(request, "ROMEO:\n", nats=-0.5)])
    with live.repl(ready="tiny · scripted") as screen:
        screen.wait_for(shows("ROM"))  # only to the bold
        request = live.daemon.requests[-1]
        assert (request.model, request.decoding.temperature) == ("tiny", 0.7)
    live.configure('\nmodle = "tiny"\n')
    with live.start(columns=200) as screen:
        screen.wait_for("config.toml:2: unknown setting modle: did you mean model?")
        assert screen.wait_for_exit() == 1
        assert len(screen.lines) == 1


def test_gnu_screen_gets_no_italics_which_it_would_draw_reversed(live: Bench) -> None:
    live.env["TERM"] = "screen"
    live.env.pop("TMUX", None)
    with live.repl() as screen:
        screen.wait_for("ROMEO:↵")
        assert b"\x1b[0;2m" in screen.written  # dim, and nothing else
        assert not re.search(rb"\x1b\[[0-9;]*\b3m", screen.written)
