"""The ghost at the prompt: what the keys make of it, and what is drawn."""

from __future__ import annotations

import re
import statistics
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from prompt_toolkit.utils import get_cwidth

from charrepl.text import graphemes
from charrepl.wire import protocol
from tests.charrepl.prompt import (
    ALT_RIGHT,
    BACKSPACE,
    CTRL_E,
    CTRL_F,
    CTRL_RIGHT,
    END,
    ESC,
    LEFT,
    RIGHT,
    SHIFT_RIGHT,
    SHIFT_TAB,
    UNDO,
    Bench,
    shows,
    typed,
)
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import answer, hung


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
        screen.wait_for(lambda s: s.before_cursor == line and s.ghost == rest).type(key)
        screen.wait_for(lambda s: s.before_cursor.startswith(line) and s.before_cursor != line).type(UNDO)
        screen.wait_for(lambda s: s.before_cursor == line and s.ghost == rest).type(UNDO)
        screen.wait_for(lambda s: s.before_cursor == "Is " and s.ghost == "the day so young?↵")


def test_shift_tab_takes_a_line_of_a_ghost_of_several(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "\none\ntwo")])
    with live.repl() as screen:
        screen.wait_for(shows("one\ntwo")).type(SHIFT_TAB)
        screen.wait_for(lambda s: s.lines[1:2] == ["  one"] and s.cursor == (2, 2)).type(UNDO)
        screen.wait_for(lambda s: s.cursor == (2, 0) and s.ghost == "one\ntwo")


LINES = {
    "plain": "Is the day so young?",
    "wide": "a日本語 cafe\u0301, 🙂 אבג",  # combining and right to left, too
    "wrapped": "All the world's a stage, and all men",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_typing_through_a_ghost_asks_nothing_never_blanks_it_and_sends_little(live: Bench, line: str) -> None:
    ghost = f"{line}\nand so\n"
    live.daemon.script = lambda request: iter([answer(request, ghost)])
    with live.repl(columns=30) as screen:
        screen.wait_for("and so↵").type("x" + BACKSPACE)  # so that the greeting goes
        screen.wait_for(lambda s: "grey text" not in s.text and "and so↵" in s.text)
        asked, whole = len(live.daemon.requests), screen.text

        def all_there(now: Screen) -> None:
            assert now.text == whole

        # A terminal may show what there is after any byte, though a letter before its accent then.
        sent = [len(screen.written)]
        with screen.watched(all_there, closely=line.isascii()):
            typed_so_far = ""
            for cluster in graphemes.clusters(line):  # an accent by itself would be another ghost's
                typed_so_far += cluster
                screen.type(cluster)
                row, column = divmod(2 + get_cwidth(typed_so_far), 30)
                screen.wait_for(lambda s, at=(column, row): s.cursor == at)
                sent.append(len(screen.written))
        assert statistics.median(after - before for before, after in pairwise(sent)) <= 16
        assert screen.ghost == "and so↵"
        assert not any(screen.drawn(number, "blink") for number in range(row + 1))
        assert len(live.daemon.requests) == asked
        screen.type(BACKSPACE * len(line))
        screen.wait_for(lambda s: s.cursor == (2, 0) and s.text == whole)
        assert len(live.daemon.requests) == asked


def test_a_ghost_streams_in_and_is_typed_through_meanwhile(live: Bench) -> None:
    line = "Is the day so young\n"
    more = threading.Semaphore(0)

    def streaming(request: protocol.Complete) -> Iterator[protocol.Message]:
        for end in range(4, len(line) + 1, 4):
            more.acquire(timeout=30)
            yield answer(request, line[:end], final=end == len(line))

    live.daemon.script = streaming
    with live.repl() as screen:
        ghosts: list[str] = []
        with screen.watched(lambda s: ghosts.append(s.before_cursor + s.ghost)):
            for end in range(4, len(line), 4):
                more.release()
                screen.wait_for(shows(line[end - 4 : end])).type(line[end - 4 : end])
                screen.wait_for(typed(line[:end]))  # all there is so far
            more.release()
            screen.wait_for(shows("ung↵"))
        assert ghosts == sorted(ghosts)  # never shorter than the one before
        assert all(f"{line[:-1]}↵".startswith(ghost) for ghost in ghosts)
        assert len(live.daemon.requests) == 1


def test_an_answer_to_an_older_text_that_comes_late_is_not_shown(live: Bench) -> None:
    asked: dict[str, protocol.Complete] = {}

    def late(request: protocol.Complete) -> Iterator[protocol.Message]:
        asked[request.text] = request
        if request.text == "ab":
            yield answer(asked["a"], "XXXX")
            yield answer(request, "cd")
            yield answer(asked["a"], "bYYY")

    live.daemon.script = late
    with live.repl() as screen, screen.watched(lambda s: s.ghost in ("", "cd", "d") or pytest.fail(s.text)):
        screen.type("a")
        screen.wait_for(lambda s: "a" in asked).type("b")
        screen.wait_for(shows("cd")).type("c")
        screen.wait_for(shows("d"))


def test_what_is_behind_the_part_shown_is_there_at_once_when_that_is_taken(live: Bench) -> None:
    line = "fool, and so I will be a king of men in France"
    live.daemon.script = lambda request: (
        hung(request) if request.text else iter([answer(request, line, nats=-0.115)])
    )
    with live.repl() as screen:
        screen.wait_for(lambda s: s.ghost.rstrip() == "fool, and so I")
        with screen.watched(lambda s: s.ghost or pytest.fail(f"a blank frame: {s.text}")):
            screen.type("\t")
            screen.wait_for(lambda s: s.before_cursor == "fool, and so I " and s.ghost == "will be a king")
            screen.type("wi")
            screen.wait_for(shows("ll be a king")).type("\t")
            screen.wait_for(lambda s: s.before_cursor == line[:29] and s.ghost == line[29:42])
            screen.type(UNDO)
            screen.wait_for(lambda s: s.before_cursor == "fool, and so I wi" and s.ghost == "ll be a king")
        # How it may go on from there is asked for meanwhile.
        assert [request.text for request in live.daemon.requests] == ["", line[:15]]


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


def test_vi_mode_has_the_ghost_in_insert_mode_only(live: Bench) -> None:
    with live.repl(editing_mode="vi") as screen:
        screen.type("RO")
        screen.wait_for(shows("MEO:↵")).type(ESC)
        screen.wait_for(lambda s: s.ghost == "" and s.before_cursor == "R").type("A")
        screen.wait_for(lambda s: s.before_cursor == "RO" and s.ghost == "MEO:↵").type("\t")
        screen.wait_for("> ROMEO:")


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
    with live.repl(columns=columns, rows=5, ready="…") as screen:
        # pyte keeps an empty cell behind each wide character
        screen.wait_for(lambda s: re.fullmatch(r"[日本語\n]+…", s.ghost) and s.cursor == (2, 0))


def unsure(request: protocol.Complete) -> Iterator[protocol.Message]:
    """What is likelier wrong than right, to whoever asks for that; nothing to others."""
    yield answer(request, "be, that is" if request.min_confidence < 0.01 else "", nats=-0.1)


def test_a_writer_who_pauses_is_shown_what_is_too_unsure_for_one_who_types(live: Bench) -> None:
    live.daemon.script = unsure
    with live.repl() as screen:
        screen.type("To be, or not to ")
        screen.wait_for(shows("be, that is"))
        asked = [(request.text, request.min_confidence < 0.01) for request in live.daemon.requests]
        assert asked.count(("To be, or not to ", True)) == 1
        assert [text for text, pausing in asked if pausing] == ["To be, or not to "]
        screen.type("b")
        screen.wait_for(shows("e, that is")).type(ESC)  # it is a ghost as any other
        screen.wait_for(shows(""))
