"""The journal: what it says is what happened, whatever became of its last line."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from charrepl.writing.draft import Draft, Piece
from charrepl.writing.journal import State, edited, everything, replay

LINES = st.text(alphabet="ab\n/é\udc80", max_size=12)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), LINES),
        st.tuples(st.just("add"), st.tuples(LINES, LINES)),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("all"), st.none()),
    ),
    max_size=30,
)


def encoded(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def told(events: list[tuple[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """The records of some events, and text and line after each."""
    draft, line = Draft(), ""
    records, states = [], []
    for kind, value in events:
        if kind == "edit":
            records.append(edited(line, value))
            line = value
        elif kind == "add":
            draft.add(Piece(*value))
            records.append({"add": list(value)})
            line = ""
        elif kind == "undo":
            draft.undo()
            line = "typed"
            records.append({"undo": 1, "line": line})
        else:
            records.append(everything(State(draft, line)))
        states.append((draft.text, line))
    return records, states


@given(EVENTS)
def test_a_replay_ends_where_the_session_did(events: list[tuple[str, Any]]) -> None:
    records, states = told(events)
    state = replay(encoded(records))
    assert (state.draft.text, state.line) == (states[-1] if states else ("", ""))


@given(EVENTS, st.integers(0, 10_000))
def test_a_journal_cut_anywhere_says_what_was_so_after_its_last_whole_record(
    events: list[tuple[str, Any]], cut: int
) -> None:
    records, states = told(events)
    data = encoded(records)
    data = data[: cut % (len(data) + 1)]
    whole = data.count(b"\n") + (
        not data.endswith(b"\n") and data.rpartition(b"\n")[2] in map(_json, records)
    )
    state = replay(data)
    assert (state.draft.text, state.line) == (states[whole - 1] if whole else ("", ""))


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_edit_says_no_more_than_what_changed(before: str, after: str) -> None:
    head, tail, inserted = edited(before, after)["edit"]
    assert before[:head] + inserted + before[len(before) - tail :] == after
    assert len(edited(before, before + "x")["edit"][2]) == 1


def test_what_is_not_a_record_is_passed_over() -> None:
    lines = [
        b'{"add": ["one\\n", ""]}',
        b"[]",
        b"17",
        b'{"add": 1}',
        b'{"edit": ["a"]}',
        b"\xff",
        b'{"all": {}}',
    ]
    assert replay(b"\n".join(lines)).draft.text == "one\n"
