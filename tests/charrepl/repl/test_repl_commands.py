"""Slash commands at the prompt."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from charrepl.terminal.colours import RICH_HEAT
from tests.charrepl.prompt import CTRL_C, CTRL_D, READY, Bench, shows, typed
from tests.charrepl.scripted_daemon import answer, continuing, offering


def test_help_names_every_key_and_command_and_a_mistake_the_nearest(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("/help\r")
        screen.wait_for("take its next word").wait_for("/stats             figures")
        assert screen.lines[0] == "> /help"  # all of it is there, of 80 columns
        assert max(map(len, screen.lines)) < 80
        screen.type("/help keys\r")
        screen.wait_for("Alt-F Alt-Right Ctrl-Right   take its next word").wait_for("go back to the shell")
        screen.type("/help kes\r")
        screen.wait_for("/help kes: expected /help or /help keys")
        screen.type("/nonsense\r")
        screen.wait_for("no command /nonsense: /help lists them; added as text, /undo takes it back")


def test_the_temperature_is_shown_changed_and_kept_in_bounds(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("/temp\r")
        screen.wait_for("temperature 0 (greedy)").type("/temp warm\r")
        screen.wait_for("/temp warm: expected a number").type("/temp 11\r")
        screen.wait_for("/temp 11: expected 0 (greedy) to 10").type("/temp 0.8\r")
        screen.wait_for("shakespeare · scripted · temperature 0.8")
        screen.wait_for(lambda s: live.daemon.requests[-1].decoding.temperature == 0.8)
        assert live.daemon.requests[-1].text == ""  # commands are not part of the text


@pytest.mark.parametrize("command", ["/model", "/voice"])
def test_models_are_listed_and_changed_in_the_middle_of_a_text(live: Bench, command: str) -> None:
    with live.repl() as screen:
        screen.type(f"ROMEO:\r{command}\r")
        screen.wait_for("* shakespeare  3 x 512").wait_for("  tiny").type(f"{command} tinny\r")
        screen.wait_for("no model named tinny: did you mean tiny?").type(f"{command} tiny\r")
        screen.wait_for("tiny · scripted")
        screen.wait_for(lambda s: live.daemon.requests[-1].model == "tiny")
        assert live.daemon.requests[-1].text == "ROMEO:\n"
        screen.type(f"{command} some/where\r")
        screen.wait_for(lambda s: live.daemon.requests[-1].model == str(Path.cwd() / "some/where"))


def test_settings_are_shown_and_changed_until_the_end_of_the_session(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "ROMEO:\n", nats=-0.5)])
    with live.repl(rows=40, assertiveness="quiet") as screen:
        screen.wait_for(lambda s: live.daemon.requests)
        screen.type("/set\r")
        screen.wait_for(lambda s: re.search(r"assertiveness +quiet\n", s.text)).type(
            "/set assertiveness loud\r"
        )
        screen.wait_for('assertiveness loud: expected "quiet", "normal" or "bold"')
        assert screen.ghost == ""
        screen.type("/set assertiveness bold\r")
        screen.wait_for(shows("ROM")).type("/set asertiveness bold\r")
        screen.wait_for("unknown setting asertiveness: did you mean assertiveness?")
        assert live.daemon.requests[-1].decoding.adapt
        screen.type("/set adapt off\r")
        screen.wait_for(lambda s: not live.daemon.requests[-1].decoding.adapt).wait_for("adapt off")
        screen.type("/set editing_mode vi\rRO\x1b")
        screen.wait_for(lambda s: s.before_cursor == "R" and s.ghost == "")  # Esc left insert mode


def test_tab_completes_commands_settings_models_and_files(live: Bench) -> None:
    (live.place / "drafts").mkdir()
    for name in ("hamlet one.txt", "hamlet two.txt"):
        (live.place / "drafts" / name).write_text("To be\n")
    with live.repl() as screen:
        screen.type("/s\t")
        screen.wait_for("/sample  /save  /set  /stats").type("et\t")
        screen.wait_for(typed("/set ")).type("as\t")
        screen.wait_for(typed("/set assertiveness ")).type("b\t")
        screen.wait_for(typed("/set assertiveness bold")).type(CTRL_C + "/voice t\t")
        screen.wait_for(typed("/voice tiny")).type(CTRL_C + f"/open {live.place}/dr\t")
        screen.wait_for(typed(f"/open {live.place}/drafts/")).type("\t")
        screen.wait_for(typed(f"/open {live.place}/drafts/hamlet ")).wait_for("hamlet two.txt").type("o\t\r")
        screen.wait_for("hamlet one.txt: 6 characters").wait_for("  To be")


def test_what_comes_next_is_shown_as_bars(live: Bench) -> None:
    # A character is as likely as exp(-1), exp(-2), exp(-3), and what is left.
    live.daemon.script = offering("MEO", "\n", " ", otherwise=continuing())
    with live.repl() as screen:
        screen.type("RO\r/next\r")
        screen.wait_for("  others  44.7 %  █")
        assert [row[:16] for row in screen.lines[2:5]] == [
            "  M       36.8 %",
            "  ↵       13.5 %",
            "  space    5.0 %",
        ]
        bars = [row.count("█") for row in screen.lines[2:6]]
        assert bars == [14, 5, 2, 17]  # of 40 columns
        screen.type("x")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "RO\nx")


@pytest.mark.parametrize("colors", ["none", "16", "256"])
def test_heat_draws_each_character_by_its_surprise(live: Bench, colors: str) -> None:
    with live.repl(colors=colors) as screen:
        screen.type("/heat\r")
        screen.wait_for("there is no text yet").type("ROMEO:\rIs it A\r/heat\r")
        screen.wait_for("0-1  1-2.5  2.5-4  4-6  6 or more  bits; 2.1")
        top = screen.lines.index("> /heat", 3)
        assert screen.lines[top + 1 : top + 3] == ["  ROMEO:", "  Is it A"]
        assert [screen.drawn(row, "underscore") for row in (top + 1, top + 2)] == ["ROMEO", "IA"]
        colour = screen.cell(top + 1, 2).fg
        assert colour == {"none": "default", "16": "magenta", "256": RICH_HEAT["dark"][2][-6:]}[colors]
        screen.type("/heat 1\r")
        screen.wait_for(lambda s: s.text.count("Is it A") == 3 and s.text.count("  ROMEO:") == 1)


def test_stats_count_what_was_typed_and_saved(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs")
        screen.wait_for(shows(" the day so young?↵")).type("\t")
        screen.wait_for(shows("BENVOLIO:↵")).type("\r/stats\r")
        screen.wait_for("text        28 characters, 28 of them added in this session")
        # 28 characters and the six of the command; 19 came of one key.
        screen.wait_for("keystrokes  17, 51.4% saved").wait_for("1 of them taken, 19 characters")
        screen.wait_for("surprise    1.25 bits per character").wait_for("latency     median")


def test_a_text_is_saved_and_nothing_is_written_over_unasked(live: Bench) -> None:
    file, other = live.place / "one.txt", live.place / "other.txt"
    (live.place / "usual").touch()
    other.write_text("precious")
    with live.repl() as screen:
        screen.type("/save\r")
        screen.wait_for("/save FILE: say where").type(f"hello\r/save {file}\r")
        screen.wait_for("saved 6 characters in").type("world\r/save\r")
        screen.wait_for("saved 12 characters in").type(f"/save {other}\r")
        screen.wait_for("exists already: /save! ")
        assert file.read_text() == "hello\nworld\n"
        assert other.read_text() == "precious"
        assert file.stat().st_mode == (live.place / "usual").stat().st_mode
        screen.type(f"/save! {other}\r")
        screen.wait_for(lambda s: other.read_text() == "hello\nworld\n").type(
            f"/save {live.place}/no/where\r"
        )
        screen.wait_for("there is no directory").type(f"/save {live.place}/last\r/quit\r")
        assert screen.wait_for_exit() == 0
    assert (live.place / "last").read_text() == "hello\nworld\n"  # what ends the session waits for it


def test_a_file_is_the_texts_own_after_a_crash_too_and_not_written_over_once_it_has_changed(
    live: Bench,
) -> None:
    file = live.place / "my notes.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\n")
    with live.repl(columns=200) as screen:
        screen.type(f"/open '{file}'\r")
        screen.wait_for("my notes.txt: 4 characters").type("two\r/save\r")
        screen.wait_for("saved 8 characters").type("three\r")
        screen.wait_for(lambda s: any("three" in path.read_text() for path in live.journals))
        os.kill(screen.pid, signal.SIGKILL)
        screen.wait_for_exit()
    with live.repl(go_on=True, columns=200) as screen:
        screen.type("/save\r")
        screen.wait_for("saved 14 characters")
        assert file.read_bytes() == b"\xef\xbb\xbfone\r\ntwo\r\nthree\r\n"
        file.write_text("theirs\n")
        screen.type("four\r/save\r")
        screen.wait_for("has changed since it was opened or saved here: /save! overwrites it")
        assert file.read_text() == "theirs\n"
        screen.type(CTRL_D)
        screen.wait_for_exit()
    with live.repl(go_on=True, columns=200) as screen:
        screen.type("/save\r")
        screen.wait_for("has changed since it was opened or saved here").type(f"/open {file}\r")
        screen.wait_for("the text so far is not saved").type("/save!\r")
        screen.wait_for("saved 19 characters").type(f"/open file://{str(file).replace(' ', '%20')}\r")
        screen.wait_for("my notes.txt: 19 characters")


def test_a_file_is_opened_and_its_last_line_can_be_typed_on(live: Bench) -> None:
    file = live.place / "play.txt"
    file.write_text("ROMEO:\nIs the day so young?\n\nBENVO")
    with live.repl() as screen:
        screen.type(f"/open {file}\r")
        screen.wait_for(lambda s: s.before_cursor == "BENVO" and s.ghost == "LIO:↵")
        screen.wait_for("play.txt: 34 characters").wait_for("  Is the day so young?").type("\t\r/save\r")
        screen.wait_for("saved 39 characters")
        assert file.read_text() == "ROMEO:\nIs the day so young?\n\nBENVOLIO:\n"
        screen.wait_for(
            lambda s: live.daemon.requests[-1].text == "ROMEO:\nIs the day so young?\n\nBENVOLIO:\n"
        )


def test_an_unsaved_text_is_not_left_without_a_word_and_even_then_kept(live: Bench) -> None:
    file = live.place / "play.txt"
    file.write_text("other\n")
    with live.repl(columns=120) as screen:
        screen.type(f"hello\r/open {file}\r")
        screen.wait_for("the text so far is not saved: /save FILE first, or /open! ").type("x")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "hello\nx").type(
            f"{CTRL_C}/open! {file}\r"
        )
        screen.wait_for("the previous text is kept in").wait_for("  other").type("y")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "other\ny")
    assert any("hello" in path.read_text() for path in (live.place / "data" / "sessions").iterdir())


@pytest.mark.parametrize("what", ["missing", "directory", "pipe"])
def test_what_cannot_be_opened_leaves_the_text_as_it_is(live: Bench, what: str) -> None:
    file = live.place / "x"
    {"missing": lambda: None, "directory": file.mkdir, "pipe": lambda: os.mkfifo(file)}[what]()
    said = {"missing": "No such file", "directory": "is not a file", "pipe": "is not a file"}[what]
    with live.repl(columns=120) as screen:
        screen.type(f"/open {file}\r")
        screen.wait_for(said).type("RO")
        screen.wait_for(shows("MEO:↵"))


def test_a_long_text_that_was_opened_costs_a_window_a_key(live: Bench) -> None:
    text = "All the world's a stage,\n" * 40_000
    (live.place / "long.txt").write_text(text)
    with live.repl() as screen:
        screen.type(f"/open {live.place / 'long.txt'}\r")
        screen.wait_for("1,000,000 characters")
        for count in range(1, 11):
            screen.type("x")
            screen.wait_for(typed("x" * count))
        screen.wait_for(lambda s: live.daemon.requests[-1].text.endswith("\n" + "x" * 10)).wait_for(READY)
        request = live.daemon.requests[-1]
        assert request.text == (text + "x" * 10)[request.offset :]
        assert len(request.text) < 2048


def test_an_empty_answer_to_next_is_said(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "")])
    with live.repl() as screen:
        screen.type("/next\r")
        screen.wait_for("the daemon was busy with what you typed: ask again")
