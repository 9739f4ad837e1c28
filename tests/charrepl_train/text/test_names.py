"""Finding the names in plays, chats, diaries and in texts that have none."""

from __future__ import annotations

import re

import pytest

from charrepl_train.text import names
from charrepl_train.text.vocabulary import Vocabulary


def found(text: str) -> list[str]:
    vocabulary = Vocabulary(text)
    return names.find(vocabulary.encode(text), vocabulary).names


PLAY = """\
KING LEMOR II:
Where is my son? The king would see him now.

First Lord:
My lord, he is with Harbin in the field.

HARBIN:
I am here, and the first to come.

KING LEMOR II:
Then, Harbin, fetch my son.

HARBIN:
He will not come.
"""


def test_speakers_of_a_play_but_not_their_ranks_and_numbers() -> None:
    assert found(PLAY) == ["Harbin", "Lemor"]


@pytest.mark.parametrize(
    "label",
    [
        "{}: ",
        "[12:03] {}: ",
        "[12/03/24, 12:03:59] {}: ",
        "12/03/24, 12:03 - {}: ",
        "3/12/24, 12:03 PM - {}: ",
        "2024-03-12 12:03 {}: ",
    ],
)
def test_senders_of_a_chat(label: str) -> None:
    lines = ["Anna are you there?", "Jo Émile says yes: at nine.", "Anna fine, then at nine"]
    text = "".join(label.format(line.split()[0]) + line.split(" ", 1)[1] + "\n" for line in 2 * lines)
    assert found(text) == ["Anna", "Jo"]


def test_people_of_a_diary_who_are_named_again_and_again() -> None:
    day = "Today we saw Marit, who had been at the sea. With Odd and Marit we went home. It was cold.\n"
    text = (
        2 * day
        + "Nobody had seen Solveig, and today it was late. "
        + "So we stayed at home and had tea. " * 3
    )
    assert found(text) == ["Marit"]  # Odd and Solveig are too rare: they have been named but twice and once
    assert found(2 * text) == ["Marit", "Odd"]
    assert found(2 * text + "What an odd day.") == ["Marit"]


def test_where_every_noun_has_a_capital_only_speakers_count() -> None:
    line = "Rosa: Der Hund und die Katze sind im Haus, und die Frau ist am Fenster.\n"
    assert found(10 * line) == ["Rosa"]


@pytest.mark.parametrize(
    "text", ["", "no names here: none. " * 50, "A NOTE: ALL IS LOUD. " * 50, "名前はない。" * 50]
)
def test_a_text_without_names(text: str) -> None:
    assert not found(text)


def test_all_words_are_counted() -> None:
    vocabulary = Vocabulary(PLAY)
    _, speaking, part, words = names.find(vocabulary.encode(PLAY), vocabulary)
    assert speaking == 2
    assert {"harbin", "son", "first", "ii"} <= words
    assert part == pytest.approx(6 / len(re.findall("[A-Za-z]+", PLAY)))


def test_a_long_text_is_read_in_parts_from_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_PIECE", 200)
    monkeypatch.setattr(names, "_READ", 2000)
    early, late = "\nMARTA:\nso it is\n" * 200, "\nJONAS:\nso it was\n" * 200
    assert found(early + late) == ["Jonas", "Marta"]
