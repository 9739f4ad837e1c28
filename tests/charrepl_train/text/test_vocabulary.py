"""Characters to ids and back."""

from __future__ import annotations

import string
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train.text.vocabulary import REPLACEMENT, UNKNOWN, Vocabulary

characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
# What may stand for one another.
QUOTES_DASHES_SPACES = {
    chr(c) for c in range(0x3001) if unicodedata.category(chr(c)) in ("Pi", "Pf", "Ps", "Pd", "Zs")
}
QUOTES_DASHES_SPACES |= set("\"'.…−″′ʼ´`")
anything = st.text(st.characters() | st.characters(categories=["Cs"]))


def vocabulary_of(text: str, most: int) -> Vocabulary:
    return Vocabulary.from_counts(np.bincount(np.array([*map(ord, text)], int)), max_characters=most)


@given(st.text(characters))
def test_a_text_of_known_characters_survives_the_round_trip(text: str) -> None:
    vocabulary = Vocabulary(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert UNKNOWN not in ids
    assert vocabulary.decode(ids) == text


@given(st.text(characters), anything)
def test_any_text_at_all_can_be_encoded(known: str, text: str) -> None:
    vocabulary = Vocabulary(known)
    ids = vocabulary.encode(text)
    assert len(ids) == len(text)
    allowed = set(known) | {"\n"}
    for char, read in zip(text, vocabulary.decode(ids), strict=True):
        if char in allowed:
            assert read == char
        else:
            assert read == REPLACEMENT or {char, read} <= QUOTES_DASHES_SPACES, (char, read)


@given(st.text(characters), st.text(characters))
def test_the_table_says_the_same(known: str, text: str) -> None:
    vocabulary = Vocabulary(known)
    table = vocabulary.table()
    assert table.itemsize == (1 if len(vocabulary) <= 256 else 2)
    ids = np.array([table[ord(char)] for char in text], table.dtype)
    vocabulary.open_quotes(ids, np.array([*map(ord, text)], np.uint32))
    assert ids.tolist() == vocabulary.encode(text).tolist()


def test_lone_surrogates_are_unknown() -> None:
    assert Vocabulary("ab").encode("a\ud800\udcffb").tolist() == [2, UNKNOWN, UNKNOWN, 3]


@pytest.mark.parametrize("text", ["", "a", "a\nb"])
def test_the_newline_is_always_known(text: str) -> None:
    vocabulary = vocabulary_of(text, 2)
    assert vocabulary.newline != UNKNOWN
    assert vocabulary.decode([vocabulary.newline]) == "\n"


def test_the_most_frequent_characters_are_kept_and_ties_go_to_the_lower() -> None:
    assert vocabulary_of("cccbbaad\n\n\n\n", 3).characters == "\nac"


@given(st.text(characters, min_size=1), st.integers(2, 5))
def test_no_kept_character_is_rarer_than_one_left_out(text: str, most: int) -> None:
    kept = set(vocabulary_of(text, most).characters)
    out = set(text) - kept
    assert len(kept) <= most + 1  # the newline may come on top
    rarest = min((text.count(char) for char in kept & set(text) - {"\n"}), default=len(text))
    assert all(text.count(char) <= rarest for char in out)


@given(st.text(characters))
def test_ids_do_not_depend_on_the_order_of_the_text(text: str) -> None:
    assert Vocabulary(text) == Vocabulary(text[::-1])
    assert len(Vocabulary(text)) == len(set(text) | {"\n"}) + 1


def test_masks_name_the_ids_of_characters() -> None:
    vocabulary = Vocabulary("a b")
    assert vocabulary.mask("b\nz").tolist() == [False, True, False, False, True]
    assert vocabulary.visible().tolist() == [True, False, False, True, True]
    assert not Vocabulary(REPLACEMENT).mask(REPLACEMENT)[UNKNOWN]


def test_a_saved_vocabulary_is_loaded_again(tmp_path: Path) -> None:
    vocabulary = Vocabulary(string.printable + 'äπ😀\u2028\u200b\\"')
    (tmp_path / "vocab.json").write_bytes(vocabulary.encoded())
    assert Vocabulary.load(tmp_path / "vocab.json") == vocabulary


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b'{"characters": 3}',
        b'{"characters": "a", "more": 1}',
        b"\xff",
        b'{"characters": "\xff"}',
        b'{"characters": "\\ud800"}',
        b"[" * 100_000,
        b'{"more": ' + b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_a_damaged_file_is_one_line(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "vocab.json"
    path.write_bytes(damaged)
    with pytest.raises(CharreplError, match=r"vocab\.json is not a vocabulary .*again"):
        Vocabulary.load(path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CharreplError, match=r"cannot read .*vocab\.json: No such file"):
        Vocabulary.load(tmp_path / "vocab.json")
