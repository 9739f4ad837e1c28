"""What was taken, where only the next text tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.suggestions.keys_saved import Counts, KeysSaved
from charrepl.suggestions.taken_ghosts import TakenGhosts


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
