"""The history: a file that several prompts share, however long it is, and no key that waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.search import SearchDirection, SearchState

from charrepl.editing import history as histories
from charrepl.editing.history import BLOCK, LineHistory, Lines
from charrepl.editing.line_buffer import LineBuffer

# Of processor time, on a machine that does other things too.
MOST_S = 0.02


def read(path: Path, warned: list[str] | None = None) -> LineHistory:
    history = LineHistory(lambda: path, warn=(warned if warned is not None else []).append)
    asyncio.run(history.read())
    return history


def buffer(history: LineHistory) -> LineBuffer:
    found = LineBuffer(history=history, enable_history_search=True)
    found.fill()
    return found


def quick(act: Callable[[], object]) -> object:
    """What `act` gives. Raises AssertionError if it takes long, each time."""
    took = []
    for _ in range(3):
        since = time.thread_time()
        result = act()
        took.append(time.thread_time() - since)
    assert min(took) < MOST_S, took
    return result


def test_no_key_waits_for_a_history_of_300_000_lines(tmp_path: Path) -> None:
    path = tmp_path / "history"
    entries = (f"\n# then\n+line {number} of some words, as they are\n" for number in range(300_000))
    path.write_text("".join(entries))
    line = buffer(read(path))

    def enter() -> None:
        line.insert_text("new")
        line.remember(line.text)
        line.reset()

    def up(begun: str) -> str:
        line.reset(Document(begun))
        line.history_backward()
        return line.text

    def search(what: str, direction: SearchDirection = SearchDirection.BACKWARD) -> str:
        line.reset()
        return line.document_for_search(SearchState(what, direction)).text

    quick(enter)
    assert quick(lambda: up("")) == "new"
    assert quick(lambda: up("line 7 ")) == "line 7 of some words, as they are"
    assert quick(lambda: up("nothing")) == "nothing"
    assert quick(lambda: search("line 8 of")) == "line 8 of some words, as they are"
    assert quick(lambda: search("nothing")) == ""
    quick(lambda: search("nothing", SearchDirection.FORWARD))
    line.go_to_history(0)
    quick(lambda: line.history_forward(count=10**9))


def test_the_file_is_read_as_prompt_toolkit_writes_it_and_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "_BLOCK_BYTES", 7)  # so that it is cut everywhere
    path = tmp_path / "history"
    theirs = FileHistory(path)
    lines = ["one", "two\nand more\n\n+plus", "", "# three", "日本 \udc80"]
    for line in lines[:4]:
        theirs.store_string(line)
    ours = read(path)
    assert ours.get_strings() == lines[:4]
    ours.append_string(lines[4])
    assert [*theirs.load_history_strings()][::-1] == [*lines[:4], "日本 ?"]
    path.write_text(path.read_text() + "+torn")
    assert read(path).get_strings()[-1].startswith("日本")


def test_prompts_that_write_at_the_same_time_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history"
    first, second = read(path), read(path)
    for number in range(5):
        first.append_string(f"first {number}" * 5000)
        second.append_string(f"second {number}")
    third = LineHistory(lambda: path, warn=pytest.fail)
    third.append_string("entered before it was read")
    asyncio.run(third.read())
    assert len(third.get_strings()) == len(set(third.get_strings())) == 11
    assert third.get_strings()[-1] == "entered before it was read"


def test_of_a_file_that_is_too_long_the_newest_lines_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f"\n# then\n+{number:04}\n" for number in range(1000)))
    monkeypatch.setattr(histories, "MOST_BYTES", 130)
    assert read(path).get_strings() == [f"{number:04}" for number in range(991, 1000)]
    assert path.stat().st_size == 14_000  # and it stays


def test_what_cannot_be_kept_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    warned: list[str] = []
    history = read(tmp_path / "file" / "history", warned)
    history.append_string("hello")
    assert history.get_strings() == ["hello"]
    assert [warning[:21] for warning in warned] == ["history is not kept: "]


LINES = st.lists(st.text(alphabet="ab\0\n", max_size=3), max_size=12)


@given(LINES, LINES, st.text(alphabet="ab\0", max_size=2), st.booleans(), st.sampled_from([1, -1]), st.data())
def test_lines_are_found_as_by_looking_at_each(
    first: list[str], more: list[str], what: str, begins: bool, step: int, data: st.DataObject
) -> None:
    padding = ["x"] * data.draw(st.sampled_from([0, BLOCK - 3, BLOCK, 2 * BLOCK + 1]))
    lines = Lines([*first, *padding])
    lines.extend(more)
    count = len(lines.all)
    start = data.draw(st.integers(-1, count))
    places = range(max(0, start), count) if step > 0 else range(min(start, count - 1), -1, -1)
    slow = (i for i in places if (lines.all[i].startswith(what) if begins else what in lines.all[i]))
    assert lines.nearest(what, begins=begins, places=places) == next(slow, None)


def test_a_line_that_was_changed_on_the_way_is_kept_and_found_until_another_is_entered(
    tmp_path: Path,
) -> None:
    history = read(tmp_path / "history")
    for line in ("one", "two", "three"):
        history.append_string(line)
    line = buffer(history)
    line.insert_text("begun")
    line.go_to_history(1)
    line.document = Document("changed")
    line.go_to_history(3)
    assert line.text == "begun"
    found = line.document_for_search(SearchState("an", SearchDirection.BACKWARD))
    assert (found.text, found.cursor_position) == ("changed", 2)
    line.reset(Document("tw"))
    line.history_backward()
    assert line.text == "two"
    line.history_forward()
    assert line.text == "tw"
