"""Which characters are rare, and where they are."""

from __future__ import annotations

from charrepl_train.text.rare_characters import Rare, rarest


def test_the_rarest_come_first_with_the_file_and_line_of_the_first_of_them() -> None:
    blocks = [(0, b"aaa\nab"), (0, "b\nca\u00e9\n".encode()), (1, b"aa\nc\n")]
    kinds, found = rarest(lambda: blocks, 3)
    assert kinds == 5
    assert found == [Rare("\u00e9", 1, 0, 3), Rare("c", 2, 0, 3), Rare("b", 2, 0, 2)]


def test_what_would_not_be_seen_is_named_by_its_number() -> None:
    assert str(Rare("\u200b", 1, 0, 1)) == "U+200B"
    assert str(Rare("\u0301", 1, 0, 1)) == "U+0301"
    assert str(Rare("q", 1, 0, 1)) == "q (U+0071)"
