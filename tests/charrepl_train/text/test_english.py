"""Whether a text is in English."""

from __future__ import annotations

from charrepl_train.text.english import is_english

ENGLISH = "It is not the end of this, and you have to go on with it; that's all there is for them. " * 20
GERMAN = (
    "Das ist nicht das Ende, und du musst damit weitermachen; das ist alles, was es so in ihr gibt. " * 20
)
DUTCH = "Het is niet het einde of het begin, en je moet er mee door; dat is alles wat er voor hen is. " * 20


def test_english_is_told_from_its_neighbours() -> None:
    assert is_english(ENGLISH)
    assert is_english(ENGLISH.upper())
    assert not is_english(GERMAN)
    assert not is_english(DUTCH)
    assert is_english(ENGLISH + GERMAN)


def test_of_a_few_words_nobody_can_tell() -> None:
    assert not is_english("It is the end of this. " * 3)
    assert not is_english("")
