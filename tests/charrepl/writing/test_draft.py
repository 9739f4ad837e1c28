"""The draft and its passages, without a terminal or a daemon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.wire.context_window import window_start
from charrepl.writing.continuation import Continuation, speech_end
from charrepl.writing.draft import Draft, Piece, last_lines, split

TEXT = st.text(alphabet="ab /\n", max_size=20)


@given(st.text(alphabet="ab\n", max_size=3000), st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_what_is_taken_back_is_what_was_added_and_the_tail_holds_every_window(
    opened: str, pieces: list[tuple[str, str]]
) -> None:
    draft = Draft(opened * 2)
    texts = [draft.text]
    for piece in pieces:
        draft.add(Piece(*piece))
        texts.append(draft.text)
        assert draft.text.endswith(draft.tail)
        assert draft.base <= window_start(len(draft.text))
    for piece in reversed(pieces):
        assert draft.text == texts.pop()
        assert draft.undo() == Piece(*piece)
    assert draft.undo() is None
    assert draft.text == texts.pop()


def test_a_text_is_unsaved_until_all_of_it_is_in_a_file() -> None:
    draft = Draft("one\n", saved="one\n")
    assert not Draft().unsaved
    assert not draft.unsaved
    draft.add(Piece("two\n"))
    assert draft.unsaved
    draft.saved = draft.text
    assert not draft.unsaved
    draft.undo()
    assert draft.unsaved


@pytest.mark.parametrize(
    ("text", "count", "lines"),
    [("a\nb\nc\n", 2, "b\nc\n"), ("a\nb\nc", 2, "b\nc"), ("a\n", 5, "a\n"), ("", 1, ""), ("a\n\n", 1, "\n")],
)
def test_the_last_lines(text: str, count: int, lines: str) -> None:
    assert last_lines(text, count) == lines


@pytest.mark.parametrize(
    ("line", "written", "kept"),
    [
        ("", "Is the day?\n\nBEN", "Is the day?\n\n"),
        ("", "\nBENVOLIO:\nBut new.\n\nR", "\nBENVOLIO:\nBut new.\n\n"),  # a speech that begins one line on
        ("Is", " the day?\nOr so\n \nB", " the day?\nOr so\n \n"),
        ("Is", "\n\nBENVOLIO:", "\n\n"),
        ("Is\n", "\nBEN", "\n"),
        ("", "one\ntwo\n", None),
    ],
)
def test_where_a_speech_ends(line: str, written: str, kept: str | None) -> None:
    end = speech_end(line, written)
    assert (None if end is None else written[:end]) == kept


@given(TEXT, st.lists(st.text(alphabet="ab \n", min_size=1, max_size=6), max_size=12), st.booleans())
def test_a_passage_loses_and_invents_nothing_wherever_it_is_stopped(
    typed: str, pieces: list[str], whole: bool
) -> None:
    passage, printed = Continuation(typed, kept=True), ""
    for new in pieces:
        if not passage.ended:
            passage.add(new)
        printed += passage.print()
    assert "".join(pieces).startswith(passage.written)
    assert printed + passage.unfinished == typed + passage.written
    piece, rest = passage.finished(whole=whole)
    text = (piece.text if piece else "") + rest
    assert text in (typed + passage.written, typed + passage.written + "\n" if whole else None)
    assert piece is None or piece.typed == typed
    if piece:
        assert piece.text.endswith("\n")
        assert "\n" not in rest
    if not whole and piece:
        assert printed == piece.text  # what is in the scrollback is in the text, and nothing else
    assert split(text)[0] + split(text)[1] == text
