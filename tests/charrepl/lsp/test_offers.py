"""What is counted of the ghosts that a client was given."""

from __future__ import annotations

import pytest

from charrepl.lsp.documents import Document, Place
from charrepl.lsp.offers import Offers
from charrepl.suggestions.keys_saved import Counts, KeysSaved

URI = "file:///a"


@pytest.fixture
def counts(tmp_path, monkeypatch) -> KeysSaved:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    return KeysSaved()


def written(counts: KeysSaved) -> Counts:
    counts.write()
    (day,) = counts.read().values()
    return day["lsp"]


def test_one_ghost_is_shown_once_however_often_it_is_asked_for(counts: KeysSaved) -> None:
    offers = Offers(counts)
    offers.made(URI, 1, "the ", ["road is"])
    offers.made(URI, 1, "the r", ["oad is long"])
    offers.made(URI, 1, "the ro", ["ad"])
    offers.made(URI, 1, "the rob", [])
    assert written(counts) == Counts(shown=1)
    offers.made(URI, 1, "the road", [" is"])  # what follows one that is taken is another
    assert written(counts) == Counts(shown=2)
    offers.made(URI, 1, "the ro", ["ll"])
    offers.made(URI, 2, "the ro", ["ll"])
    offers.made("file:///b", 2, "the ro", ["ll"])
    assert written(counts) == Counts(shown=5)


def test_what_was_typed_of_a_ghost_is_not_counted_as_taken(counts: KeysSaved) -> None:
    offers, document = Offers(counts), Document("the \n")
    _, second = offers.made(URI, 0, "the ", ["sea", "road"])
    document.replace(Place(0, 4), Place(0, 4), "ro")
    offers.follow(URI, document)
    document.replace(Place(0, 6), Place(0, 6), "ad")
    offers.follow(URI, document)  # an editor tells what it has put in, then that it was a ghost
    offers.taken(second)
    assert written(counts) == Counts(shown=1, taken=1, characters=2, keys=1)


def test_a_ghost_of_two_lines_that_is_taken_in_parts(counts: KeysSaved) -> None:
    offers, document = Offers(counts), Document("")
    (number,) = offers.made(URI, 0, "", ["one two\nthree"])
    document.replace(document.end, document.end, "one tw")
    offers.follow(URI, document)
    offers.taken(number, 6)
    document.replace(document.end, document.end, "o\nthree")
    offers.follow(URI, document)
    offers.taken(number)
    assert written(counts) == Counts(shown=1, taken=1, characters=13, keys=2)


def test_what_is_not_known_counts_nothing(counts: KeysSaved) -> None:
    offers = Offers(counts)
    (number,) = offers.made(URI, 0, "", ["one"])
    offers.taken(number + 1)
    offers.forget(URI)
    offers.taken(number)
    offers.follow(URI, Document(""))
    assert written(counts) == Counts(shown=1)
