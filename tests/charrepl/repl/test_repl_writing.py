"""The model writes on at the prompt: passages, samples, and what stops them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from charrepl.wire import protocol
from tests.charrepl.prompt import (
    ALT_ENTER,
    BACKSPACE,
    CTRL_C,
    CTRL_D,
    ESC,
    READY,
    UNDO,
    Bench,
    shows,
    typed,
)
from tests.charrepl.scripted_daemon import PASSAGE, answer, continuing


def stuck_after(text: str):
    """Begins a passage with `text` and never ends it; ghosts are as ever."""
    ghosts = continuing()

    def script(request: protocol.Complete) -> Iterator[protocol.Message]:
        if request.stop == "line":
            return ghosts(request)
        return iter([answer(request, text, final=False)])

    return script


def asked(text: str):
    """Whether the last ghost asked for was that of `text`."""
    return lambda bench: bench.daemon.requests[-1].text == text


def test_alt_enter_writes_to_the_end_of_the_speech_as_part_of_the_text(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs the" + ALT_ENTER)
        screen.wait_for(shows("BENVOLIO:↵"))
        assert screen.lines[:4] == [
            "> ROMEO:",
            "> Is the day so young?",
            "",
            ">  BENVOLIO:↵".replace("  ", " "),
        ]
        assert live.daemon.requests[-1].text == "ROMEO:\nIs the day so young?\n\n"
        passages = [request for request in live.daemon.requests if request.stop == "none"]
        # A greedy one would go in circles, as would one that adapted to itself.
        assert {request.decoding.temperature for request in passages} == {0.8}
        assert not any(request.decoding.adapt for request in passages)


def test_a_passage_is_taken_back_in_one_step_and_the_typing_is_in_the_line_again(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs the" + ALT_ENTER)
        screen.wait_for(shows("BENVOLIO:↵")).type("/undo\r")
        screen.wait_for(lambda s: s.before_cursor == "Is the" and s.ghost == " day so young?↵")
        assert "took back Is the day so young? and 1 more lines" in screen.text
        screen.type(CTRL_C + "/undo\r")
        screen.wait_for(typed("ROMEO:")).type(CTRL_C + "/undo\r")
        screen.wait_for("there is no line or passage of this session to take back")


def test_a_speech_longer_than_one_piece_goes_on_where_it_was(live: Bench) -> None:
    verse = "".join(f"line {number} of a speech that is long\n" for number in range(12))
    live.daemon.script = continuing(verse + "\nEND")
    with live.repl() as screen:
        screen.type("line" + ALT_ENTER)
        screen.wait_for(
            lambda s: s.lines[10:13] == [*("  " + verse).replace("\n", "\n  ").split("\n")[10:12], ""]
        )
        assert screen.lines[0] == "> line 0 of a speech that is long"
        assert screen.text.count("line 7 of") == 1


@pytest.mark.parametrize("key", [ESC, CTRL_C])
def test_a_key_stops_the_passage_and_what_broke_off_can_be_typed_on(live: Bench, key: str) -> None:
    live.daemon.script = stuck_after(" the day\nso yo")
    with live.repl() as screen:
        screen.type("Is" + ALT_ENTER)
        screen.wait_for(lambda s: s.lines[:3] == ["> Is the day", "  so yo", ">"]).type(key)
        screen.wait_for(lambda s: s.lines[:2] == ["> Is the day", "> so yo"] and s.before_cursor == "so yo")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "Is the day\nso yo")
        screen.type("ung\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.lines == ["> Is the day", "> so young"]


def test_keys_typed_while_it_writes_are_kept(live: Bench) -> None:
    live.daemon.script = stuck_after(" the day\nso yo")
    with live.repl() as screen:
        screen.type("Is" + ALT_ENTER)
        screen.wait_for("  so yo").type("mine" + ESC)
        screen.wait_for(lambda s: s.lines[:3] == ["> Is the day", "  so yo", "> mine"])
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "Is the day\nso yo\nmine")


def test_lines_entered_while_it_writes_wait_for_their_turn(live: Bench) -> None:
    live.daemon.script = stuck_after(" the day\nso yo")
    with live.repl() as screen:
        screen.type("Is" + ALT_ENTER)
        screen.wait_for("  so yo").type("\rmine\r/temp\rx")
        screen.wait_for(lambda s: s.lines[:5] == ["> Is the day", "  so yo", "> mine", "> /temp", "> x"])
        screen.type(ESC)
        screen.wait_for("  temperature 0 (greedy)").wait_for(typed("x"))
        assert screen.lines[:4] == ["> Is the day", "  so yo", "> mine", "> /temp"]
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "Is the day\nso yo\nmine\nx")


def test_all_typed_at_once_is_as_if_it_had_waited(live: Bench) -> None:
    with live.repl() as screen:
        screen.type(f"ROMEO:\rIs{ALT_ENTER}BENVOLIO:\rBut{ALT_ENTER}/sample 7\r/undo\r")
        screen.wait_for("took back But new struck nine. and 1 more lines").wait_for(typed("But"))
        screen.wait_for("  ROMEO:\n> /undo")
        expected = "ROMEO:\nIs the day so young?\n\nBENVOLIO:\nBut"
        screen.wait_for(lambda s: live.daemon.requests[-1].text == expected)


def test_a_passage_that_has_no_line_yet_goes_back_into_the_line(live: Bench) -> None:
    live.daemon.script = stuck_after(" the day")
    with live.repl() as screen:
        screen.type("/" * 2 + "Is" + ALT_ENTER)
        screen.wait_for("> /Is the day").type(ESC)
        screen.wait_for(lambda s: s.lines[0] == "> /Is the day" and s.before_cursor == "/Is the day")
        screen.type(BACKSPACE)
        screen.wait_for(typed("/Is the da"))


def test_without_a_daemon_the_line_is_left_as_it_was(bench: Bench) -> None:
    with bench.repl(ready="no daemon") as screen:
        screen.type("hello" + ALT_ENTER)
        screen.wait_for(lambda s: s.before_cursor == "hello" and s.lines[0] == "> hello")


def test_a_daemon_that_refuses_a_passage_says_why_and_the_line_is_left(live: Bench) -> None:
    ghosts = continuing()

    def script(request: protocol.Complete) -> Iterator[protocol.Message]:
        if request.stop == "line":
            return ghosts(request)
        return iter([protocol.Error(seq=request.seq, code="busy", message="try again in a moment")])

    live.daemon.script = script
    with live.repl() as screen:
        screen.type("hello" + ALT_ENTER)
        screen.wait_for("try again in a moment").wait_for(typed("hello"))


def test_a_command_is_not_written_on(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("/temp" + ALT_ENTER)
        screen.wait_for("the model cannot continue a command: Enter runs it").wait_for(typed("/temp"))


def test_a_sample_is_shown_and_not_added(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\r/sample 30\r")
        screen.wait_for(lambda s: s.lines[2:5] == ["  Is the day so young?", "", "  BENVOLIO"])
        screen.type("x")
        screen.wait_for(lambda s: live.daemon.requests[-1].text == "ROMEO:\nx")


def test_ghosts_go_on_while_a_sample_is_written_and_escape_stops_it(live: Bench) -> None:
    live.daemon.script = stuck_after("a line\nand a ha")
    with live.repl() as screen:
        screen.type("/sample 100\rRO")
        screen.wait_for(lambda s: "  and a ha" in s.lines and s.ghost == "MEO:↵").type(ESC)
        screen.wait_for(lambda s: s.lines[:4] == ["> /sample 100", "  a line", "  and a ha", "> ROMEO:↵"])


def test_a_passage_never_reaches_the_terminal_raw(live: Bench) -> None:
    live.daemon.script = stuck_after("\x1b[2J\x07 a\n\x9bm b")
    with live.repl() as screen:
        screen.type("x" + ALT_ENTER)
        screen.wait_for("> x␛[2J␇ a").wait_for("  �m b")
        assert b"\x07" not in screen.written
        assert b"\x1b[2J" not in screen.written


def test_quitting_while_it_writes_keeps_what_there_is(live: Bench) -> None:
    live.daemon.script = stuck_after(" the day\nso yo")
    with live.repl() as screen:
        screen.type("Is" + ALT_ENTER)
        screen.wait_for("  so yo").type(CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.lines == ["> Is the day"]
    with live.repl(go_on=True) as screen:
        screen.wait_for(lambda s: s.lines[1:3] == ["  Is the day", "> so yo"])


def test_undo_in_the_line_does_not_reach_behind_a_passage(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs the" + ALT_ENTER)
        screen.wait_for(shows("BENVOLIO:↵")).type("x" + UNDO * 3)
        screen.wait_for(typed("")).wait_for(READY)
        assert PASSAGE.startswith(live.daemon.requests[-1].text)
