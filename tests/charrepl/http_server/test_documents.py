"""What HTTP does not tell: whose document a request is of, and what was taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.http_server.documents import Documents, TakenGhosts
from charrepl.suggestions.keys_saved import Counts, KeysSaved


def test_typing_on_and_deleting_are_the_same_document() -> None:
    documents = Documents()
    with documents.entered("one\ntwo") as first, documents.entered("one\ntwo th") as on:
        assert on == first
        with documents.entered("one\ntw") as back:
            assert back == first


def test_other_lines_are_other_documents() -> None:
    documents = Documents()
    with documents.entered("one\ntwo") as first:
        with documents.entered("one\nthree") as line, documents.entered("other\ntwo") as above:
            assert len({first, line, above}) == 3
        with documents.entered("else\n") as later:
            assert later == line  # its number is free again


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeysSaved:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    return KeysSaved()


def counted(counts: KeysSaved) -> Counts:
    counts.write()
    return next(iter(counts.read().values()), {}).get("vim", Counts())


def test_a_ghost_that_the_next_text_has_was_taken(counts: KeysSaved) -> None:
    taken = TakenGhosts(counts)
    taken.text("vim", "every cup ")
    taken.shown("vim", "every cup ", "is warm")
    taken.text("vim", "every cup is warm, ")
    assert counted(counts) == Counts(shown=1, taken=1, characters=7, keys=1)


def test_a_part_of_it_counts_as_far_as_it_goes(counts: KeysSaved) -> None:
    taken = TakenGhosts(counts)
    taken.shown("vim", "every cup ", "is warm")
    taken.text("vim", "every cup is ")
    assert counted(counts) == Counts(shown=1, taken=1, characters=3, keys=1)


def test_a_ghost_that_is_typed_through_is_one_and_not_taken(counts: KeysSaved) -> None:
    taken = TakenGhosts(counts)
    ghost = "is warm"
    for at in range(len(ghost)):
        taken.text("vim", "every cup " + ghost[:at])
        taken.shown("vim", "every cup " + ghost[:at], ghost[at:])
    assert counted(counts) == Counts(shown=1)


def test_what_is_typed_elsewhere_takes_nothing(counts: KeysSaved) -> None:
    taken = TakenGhosts(counts)
    taken.shown("vim", "every cup ", "is warm")
    taken.text("zed", "every cup is warm")
    taken.text("vim", "every cap is warm")
    assert counted(counts) == Counts(shown=1)
