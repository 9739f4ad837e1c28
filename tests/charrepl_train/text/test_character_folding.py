"""One letter is one letter, however it is stored, and quotes that a model lacks are those it has."""

from __future__ import annotations

import itertools
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text import character_folding
from charrepl_train.text.character_folding import NFC
from charrepl_train.text.corpus import read
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary

ALL = TrainingConfig(held_out=0, dev=0, sequence_length=1)
# Letters that compose, in one way or several, or that only unfold, and what stands between them.
AWKWARD = (
    *("e", "\u0301", "é", "a\u0323\u0302", "a\u0302\u0323", "ậ", "\u1112\u1161\u11ab", "\u1161", "한"),
    *(
        "\u0958",
        "\u0915\u093c",
        "\u2126",
        "\u0344",
        " ",
        "\n",
        "👨\u200d👩",
        "\u200d",
        "\u0600",
        "\U0001d15e",
    ),
    *("q\u0307\u0323", "\u0301\u0301", "ﬁ", "x"),
)
awkward = st.lists(st.sampled_from(AWKWARD), max_size=12).map("".join)


@given(awkward)
def test_a_letter_composed_and_decomposed_is_read_alike(text: str) -> None:
    known = unicodedata.normalize("NFC", text) + unicodedata.normalize("NFD", text)
    vocabulary = Vocabulary(known, normal_form=NFC)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == unicodedata.normalize("NFC", text)
    for form in ("NFC", "NFD"):
        assert vocabulary.encode(unicodedata.normalize(form, text)).tolist() == ids.tolist()


@given(awkward)
def test_each_letter_read_belongs_to_a_character_that_was_sent(text: str) -> None:
    vocabulary = Vocabulary("".join(AWKWARD), normal_form=NFC)
    ids, owners = vocabulary.encode_aligned(text)
    assert ids.tolist() == vocabulary.encode(text).tolist()
    assert len(owners) == len(ids)
    assert owners.tolist() == sorted(owners)
    assert all(0 <= owner < len(text) for owner in owners)
    # What is read up to a character of its own is what that part of the text says.
    for at in range(len(ids)):
        if at == 0 or owners[at] != owners[at - 1]:
            before = unicodedata.normalize("NFC", text[: owners[at]])
            assert len(before) == at or not unicodedata.is_normalized("NFC", text)


def test_a_vocabulary_without_a_normal_form_reads_as_it_always_has(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"characters": "\\nae\u0301"}')
    old = Vocabulary.load(tmp_path / "vocab.json")
    assert old.encode("e\u0301").tolist() == [3, 4]
    assert old.encode("é").tolist() == [UNKNOWN]
    assert old.encoded() == '{"characters":"\\nae\u0301"}'.encode()


def test_the_normal_form_is_kept_with_the_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_bytes(Vocabulary("é", normal_form=NFC).encoded())
    kept = Vocabulary.load(tmp_path / "vocab.json")
    assert kept.normal_form == NFC
    assert kept != Vocabulary("é")
    assert kept.encode("e\u0301").tolist() == [2]


@given(text=awkward, cuts=st.lists(st.integers(0, 40)))
def test_a_text_in_pieces_folds_as_the_whole_of_it(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert "".join(character_folding.normal_pieces(pieces, NFC)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_corpus_in_either_form_comes_to_the_same(tmp_path: Path, form: str) -> None:
    text = "Où est-ce que l'été a été, là-bas ? " * 40_000  # several pieces of a file
    path = tmp_path / "corpus.txt"
    path.write_text(unicodedata.normalize(form, text), encoding="utf-8")
    with read([path], near=tmp_path) as kept:
        folded, unfolded = kept.corpus(ALL), kept.corpus(ALL, normal_form="")
    assert folded.vocabulary.decode(folded.train) == text
    assert unfolded.vocabulary.decode(unfolded.train) == unicodedata.normalize(form, text)


def test_a_corpus_cut_within_a_letter_folds_it(tmp_path: Path) -> None:
    before = "e" * ((1 << 20) - 1)  # the accent begins the next piece of the file
    path = tmp_path / "corpus.txt"
    path.write_text(f"{before}e\u0301!", encoding="utf-8")
    with read([path], near=tmp_path) as kept:
        corpus = kept.corpus(ALL)
    assert corpus.vocabulary.decode(corpus.train) == before + "é!"


@pytest.mark.parametrize(
    ("known", "text", "expected"),
    [
        ("\"'- don", "“don’t” – ‘o—n’", "\"don't\" - 'o-n'"),
        ("“”‘’don", "\"don't\" 'no'", "“don’t” ‘no’"),
        ("“”’don", 'don\'t "don"', "don’t “don”"),
        ("„“don", '"don" ”don„', "„don“ “don„"),
        ("«»don", '"don" “don”', "«don» «don»"),
        ("–don", "don-don—don", "don–don–don"),
        ("—-don", "don–don‐don", "don—don-don"),
        (" don", "don\u00a0don\u202fdon\u3000", "don don don "),
        (".don", "don…", "don."),
        ("…don", "don.", "don\N{REPLACEMENT CHARACTER}"),
        ("don", "don\"'-", "don" + 3 * "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_what_a_vocabulary_lacks_is_read_as_what_it_has(known: str, text: str, expected: str) -> None:
    vocabulary = Vocabulary(known + " t")
    assert vocabulary.decode(vocabulary.encode(text)) == expected


@given(st.text(st.sampled_from("\"'“”‘’„«»-–—.… x")), st.text(st.sampled_from("\"'“”‘’„«»-–—.… x")))
def test_nothing_is_folded_that_the_vocabulary_has(characters: str, text: str) -> None:
    vocabulary = Vocabulary(characters)
    for char, known in zip(text, vocabulary.decode(vocabulary.encode(text)), strict=True):
        assert known == char or char not in vocabulary.characters
    assert len(vocabulary) == len(vocabulary.characters) + 1
    assert np.unique(vocabulary.ids(vocabulary.characters)).tolist() == list(range(1, len(vocabulary)))
