"""The heat map of a text, and the names of characters in the bars."""

from __future__ import annotations

from charrepl.commands.heat_map import bars, heat_map
from charrepl.writing.surprise import runs
from tests.charrepl.grapheme_samples import FAMILY


def test_a_character_as_people_see_it_has_one_colour_by_all_its_surprise() -> None:
    text = f"a{FAMILY}e\u0301b"
    bits = [0.1, 5.0, 0.5, 0.5, 0.5, 0.5, 3.0, 0.0, 0.2]
    assert runs(text, bits) == [(0, "a"), (4, FAMILY), (2, "e\u0301"), (0, "b")]


def test_bits_are_counted_by_letters() -> None:
    *_, (_, said) = heat_map("e\u0301e\u0301", [2.0, 0.0, 4.0, 0.0])
    assert said == "bits; 3.00 bits per character on average\n"


def test_a_character_that_nobody_sees_is_named_by_its_number() -> None:
    lines = bars([("\u200e", -1.0), ("\u0301", -1.5), ("字", -2.0), (" ", -3.0)], columns=0).split("\n")
    assert [line.split()[0] for line in lines] == ["U+200E", "\u25cc\u0301", "字", "space", "others"]
