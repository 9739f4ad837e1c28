"""What a crash costs: the text and the line being typed are on the disk, and come back."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from charrepl.writing import journal
from tests.charrepl.prompt import ALT_ENTER, CTRL_D, UP, Bench, shows, typed
from tests.charrepl.repl.test_repl_writing import stuck_after
from tests.charrepl.screen import Screen


def journals(bench: Bench) -> list[Path]:
    return sorted((bench.place / "data" / "sessions").glob("*.jsonl"))


def kept(bench: Bench) -> set[tuple[str, str]]:
    """What the journals say: texts and lines."""
    said = set()
    for path in journals(bench):
        with contextlib.suppress(FileNotFoundError):  # one too many, and removed since it was listed
            state = journal.replay(path.read_bytes())
            said.add((state.draft.text, state.line))
    return said


def kill(screen: Screen) -> None:
    os.kill(screen.pid, signal.SIGKILL)
    screen.wait_for_exit()


def test_a_crash_costs_half_a_second_of_typing_at_most_and_continue_brings_the_rest_back(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs the da")
        screen.wait_for(typed("Is the da"))
        since = time.monotonic()
        while kept(live) != {("ROMEO:\n", "Is the da")}:
            assert time.monotonic() < since + 20
        # On a machine at rest it takes a quarter of a second; on a busy one the clock is not ours.
        kill(screen)
    # As a save leaves it that was killed.
    (live.place / "data" / "sessions" / "replaced-0123456789ab-notes.txt").write_text("old")
    with live.repl(go_on=True) as screen:
        screen.wait_for(lambda s: s.before_cursor == "Is the da" and s.ghost == "y so young?↵")
        screen.wait_for("notes.txt was being saved when charrepl was killed")
        assert screen.lines[:2] == ["  continuing a text of 7 characters", "  ROMEO:"]
        assert live.daemon.requests[-1].text == "ROMEO:\nIs the da"
        screen.type("/undo".join(["\x03", "\r"]))
        screen.wait_for(typed("ROMEO:"))  # a continued text can be taken back as before
    assert len(journals(live)) == 1


def test_the_line_is_kept_while_the_keys_never_pause(live: Bench) -> None:
    with live.repl() as screen:
        since, count = time.monotonic(), 0
        while not any(line for _, line in kept(live)):
            assert time.monotonic() < since + 20
            count += 1
            screen.type("x")
            screen.wait_for(lambda s, count=count: s.text.count("x") == count)


def test_a_passage_being_written_survives_a_crash(live: Bench) -> None:
    live.daemon.script = stuck_after(" the day\nso yo")
    with live.repl() as screen:
        screen.type("Is" + ALT_ENTER)
        screen.wait_for(lambda s: kept(live) == {("", "Is the day\nso yo")}).type("x")
        screen.wait_for(lambda s: kept(live) == {("", "Is the day\nso yox")})
        kill(screen)


def test_the_line_in_progress_is_kept_through_an_orderly_end_too(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs the da")
        screen.wait_for(typed("Is the da"))
        os.kill(screen.pid, signal.SIGHUP)
        assert screen.wait_for_exit() == 0
    assert kept(live) == {("ROMEO:\n", "Is the da")}


def test_journals_are_private_and_a_session_with_nothing_in_it_leaves_none(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("x")
        screen.wait_for(lambda s: journals(live)).type("\x7f" + CTRL_D)
        assert screen.wait_for_exit() == 0
    assert journals(live) == []
    with live.repl() as screen:
        screen.type("hello\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
    (path,) = journals(live)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_two_prompts_at_once_keep_their_texts_apart(live: Bench) -> None:
    with live.repl() as one, live.repl() as two:
        one.type("first\r")
        two.type("second\r")
        one.wait_for(lambda s: kept(live) == {("first\n", ""), ("second\n", "")})
        kill(one)
        with live.repl(go_on=True) as three:  # the newest that nobody has open
            three.wait_for("  first").type("third\r")
            three.wait_for(lambda s: kept(live) == {("first\nthird\n", ""), ("second\n", "")})
            with live.repl(go_on=True, ready="the only text is open", columns=200) as four:
                assert four.wait_for_exit() == 1
        two.type("more\r")
        two.wait_for(lambda s: kept(live) == {("first\nthird\n", ""), ("second\nmore\n", "")})


def test_with_nothing_to_continue_it_says_so_in_one_line(live: Bench) -> None:
    with live.repl(
        go_on=True, columns=200, ready="there is no text to continue: start one with charrepl"
    ) as screen:
        assert screen.wait_for_exit() == 1


def test_a_bounded_number_of_sessions_is_kept(live: Bench) -> None:
    place = live.place / "data" / "sessions"
    place.mkdir(parents=True, mode=0o700)
    for number in range(31):
        path = place / f"20260101-000000-1-{number:06}.jsonl"
        path.write_text('{"add": ["old\\n", ""]}\n')
        os.utime(path, (number, number))
    own = path.rename(place / "kept by me.jsonl")
    os.utime(own, (0, 0))
    with live.repl() as screen:
        screen.type("hello\r")
        screen.wait_for(lambda s: ("hello\n", "") in kept(live))
    names = [path.name for path in journals(live)]
    assert names.pop() == "kept by me.jsonl"
    assert len(names) == journal.KEPT
    assert names[0] == f"20260101-000000-1-{31 - journal.KEPT:06}.jsonl"


def test_a_disk_that_cannot_be_written_is_one_line_and_no_hindrance(live: Bench) -> None:
    place = live.place / "data" / "sessions"
    place.parent.mkdir()
    place.write_text("a file where the directory should be")
    with live.repl(columns=160) as screen:
        screen.type("hello\r")
        screen.wait_for("not autosaved: ").wait_for("/save FILE keeps the text").type("ROMEO:\r")
        screen.wait_for("> ROMEO:")
        place.unlink()  # all is kept as soon as it can be
        screen.type("Is\r")
        screen.wait_for(lambda s: kept(live) == {("hello\nROMEO:\nIs\n", "")})


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_journal_torn_by_a_crash_loses_the_torn_record_only(live: Bench, cut: int) -> None:
    with live.repl() as screen:
        screen.type("first\rsecond\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
    (path,) = journals(live)
    path.write_bytes(path.read_bytes()[:-cut])
    with live.repl(go_on=True) as screen:
        screen.wait_for("  first").type("third\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
    assert kept(live) == {("first\nthird\n" if cut > 1 else "first\nsecond\nthird\n", "")}


def test_the_history_of_earlier_sessions_is_searched(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("But soft, what light\rlater\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵")).type(UP)
        screen.wait_for(typed("later")).type("\x03\x12soft")
        screen.wait_for("I-search backward: soft").wait_for("> But soft, what light").type("\r")
        screen.wait_for(lambda s: s.lines[0] == "> But soft, what light" and s.before_cursor == "But ")
