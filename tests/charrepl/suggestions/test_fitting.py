"""What of a ghost is shown at a cursor in a document."""

from __future__ import annotations

import math

import pytest

from charrepl.suggestions.fitting import fitted, has_room
from charrepl.suggestions.request import SuggestionRequest


def fit(ghost: str, *, nats: float = -0.01, **request) -> str:
    return fitted(ghost, [nats] * len(ghost), SuggestionRequest(document="d", **{"before": "", **request}))


@pytest.mark.parametrize("after", ["", "\nmore", ")", ');\n}"', "  \nnext", '"]'])
def test_there_is_room_before_closing_signs_and_line_ends(after: str) -> None:
    assert has_room(after)


@pytest.mark.parametrize("after", ["word", " word", ") + x", "_", "é\n", "7"])
def test_there_is_no_room_where_a_word_follows_in_the_line(after: str) -> None:
    assert not has_room(after)


def test_a_ghost_is_one_line_unless_more_is_asked_for() -> None:
    ghost = "be warm.\n\nCOOK:\nAnd then"
    assert fit(ghost) == "be warm."
    assert fit(ghost, lines=2) == "be warm."  # the second is empty
    assert fit(ghost, lines=3) == "be warm.\n\nCOOK:"


def test_a_line_that_ends_here_has_no_ghost_of_one_line() -> None:
    assert fit("\nAnd then") == ""
    assert fit("\nAnd then", lines=2) == "\nAnd then"


def test_what_is_not_worth_reading_is_not_shown() -> None:
    unlikely = math.log(0.3)
    assert fit("kettle", nats=unlikely) == ""
    assert fit("kettle", nats=unlikely, on_demand=True) == "kettle"
    assert fit("kettle", nats=-0.4, assertiveness="bold") != ""
    assert fit("kettle", nats=-0.4, assertiveness="quiet") == ""


def test_a_ghost_ends_before_what_follows_the_cursor() -> None:
    assert fit("kettle) and", before="f(", after=")\n") == "kettle"
    assert fit("kettle", before="f(", after=")") == "kettle"


def test_the_next_line_is_not_written_again() -> None:
    assert fit("every cup is warm", before="x\nAnd ", after="\nAnd every cup is warm, good master.\n") == ""
    assert fit("warm.\nCOOK:\nAnd", lines=3, after="\n\nCOOK:\n") == "warm."
    assert fit("warm.", after="\nCOOK:\n") == "warm."


def test_a_cut_is_never_within_what_people_see_as_one_character() -> None:
    assert fit("ab🇫🇷)", before="(", after=")") == "ab🇫🇷"


def test_where_the_model_has_nothing_what_was_recalled_is_shown() -> None:
    recalled = {"before": "ls\nmake test\nma", "recalled": "make test"}
    unlikely = math.log(0.3)
    assert fit("", **recalled) == "ke test"
    assert fit("n ls", **recalled) == "n ls"
    assert fit("n ls", nats=unlikely, **recalled) == "ke test"
    assert fit("n ls", nats=unlikely, **recalled, on_demand=True) == "ke test"
    assert fit("n ls", nats=unlikely, before="ma", recalled="git log") == ""
    assert fit("n ls", nats=unlikely, before="ma", recalled="git log", on_demand=True) == "n ls"
    assert fit("", before="make test", recalled="make test") == ""
    assert fit("", before="ma", recalled="make a\nb") == "ke a"
    assert fit("", before="", recalled="make") == ""
    assert fit("", **recalled, after=" ls") == ""
