"""Batches in parts of which names are replaced."""

from __future__ import annotations

import random
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text import renaming
from charrepl_train.text.batching import Batches
from charrepl_train.text.renaming import RenamedBatches, Renamer
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary

PEOPLE = ["Anselmo", "Beatrix", "Corvin", "Dorothea", "Eginald", "Fenella", "Gordian", "Hesper", "Ilario"]


def play(speeches: int = 800) -> str:
    """A play of so many speeches, in which all are told of and speak."""
    chance = random.Random(0)
    lines = []
    for _ in range(speeches):
        speaker, other = chance.sample(PEOPLE, 2)
        lines.append(f"{speaker.upper()}:\nwhat says {other} to that, or {speaker}'s own brother?\n\n")
    return "".join(lines)


PLAY = play()
VOCABULARY = Vocabulary(PLAY)
IDS = VOCABULARY.encode(PLAY).astype(np.uint8)


def batches(*, ids: np.ndarray = IDS, **changed: Any) -> Batches:
    changed = {"rename_names": True, "batch_size": 4, "sequence_length": 64, **changed}
    return renaming.batches(ids, VOCABULARY, msgspec.structs.replace(TrainingConfig(), **changed))


def text_of(batches: Batches, row: int, steps: range) -> str:
    return "".join(VOCABULARY.decode(batches(step)[row, :-1]) for step in steps)


def names_in(text: str) -> set[str]:
    return set(re.findall(r"(?<=says )[A-Z][a-z]+(?= )", text))


def test_a_name_has_one_other_everywhere_in_its_cases_and_all_else_stays() -> None:
    renamer = Renamer(VOCABULARY, PEOPLE, ["Mordo", "Aalbertrud", "Serf"])
    text = (
        "ANSELMO:\nO Anselmo, Beatrix's Anselmo! No anselmo, AnSelmo or Anselmos, Ursula.\n\nBEATRIX: ANSELMO"
    )
    vocabulary = Vocabulary(text + "MordoAalbertrudSerf".upper() + "MordoAalbertrudSerf")
    renamed = Renamer(vocabulary, PEOPLE, ["Mordo", "Aalbertrud", "Serf"])(
        vocabulary.encode(text), np.random.default_rng(0)
    )
    after = vocabulary.decode(renamed)
    first = re.match("[A-Z]+", after)
    assert first is not None
    a, b = first[0].capitalize(), after.rsplit(":", 1)[0].split()[-1].capitalize()
    assert {a, b} < {"Mordo", "Aalbertrud", "Serf"}
    assert len({a, b}) == 2
    expected = text
    for old, new in (("Anselmo", a), ("Beatrix", b)):
        expected = re.sub(rf"\b{old}\b", new, expected)
        expected = re.sub(rf"\b{old.upper()}\b", new.upper(), expected)
    assert after == expected
    assert renamer.names == len(PEOPLE)


def test_what_the_vocabulary_lacks_is_not_used() -> None:
    ids = VOCABULARY.encode("ANSELMO: Anselmo")
    for invented in ([], ["Zyx"], ["Żelo"]):
        np.testing.assert_array_equal(
            Renamer(VOCABULARY, PEOPLE, invented)(ids, np.random.default_rng(0)), ids
        )


def test_an_unknown_character_stays_unknown() -> None:
    ids = np.concatenate([VOCABULARY.encode("says Anselmo to "), [UNKNOWN], VOCABULARY.encode(" Beatrix")])
    renamed = Renamer(VOCABULARY, PEOPLE, ["Corda", "Hilario"])(ids, np.random.default_rng(0))
    assert (renamed == UNKNOWN).sum() == 1


def test_names_change_from_piece_to_piece_and_not_within_one() -> None:
    renamed = batches(rename_share=1.0, random_offsets=False)
    assert renamed.names == len(PEOPLE)
    steps = range(64)  # a piece of 4,096 characters
    pieces = [text_of(renamed, row, steps) for row in range(4)]
    for piece in pieces:
        assert 5 < len(names_in(piece)) <= len(PEOPLE)
        assert not names_in(piece) & set(PEOPLE)
        speaking = re.findall(r"^([A-Z]+):\n", piece, re.MULTILINE)
        assert len({name.capitalize() for name in speaking} | names_in(piece)) <= len(PEOPLE)
    assert not names_in(pieces[0]) & names_in(pieces[1])


def test_a_share_of_the_pieces_has_other_names() -> None:
    for share in (0.25, 0.75):
        renamed = batches(rename_share=share, batch_size=8)
        original = Batches(IDS, msgspec.structs.replace(TrainingConfig(), batch_size=8))
        same = [
            (renamed(64 * piece)[row] == original(64 * piece)[row]).mean() > 0.9
            for piece in range(0, 40, 2)
            for row in range(8)
        ]
        assert 1 - np.mean(same) == pytest.approx(share, abs=0.15)


def test_streams_read_on_but_where_names_change_and_there_the_carry_is_zeroed() -> None:
    renamed = batches(reset_every=0.0)
    before = renamed(0)
    changes = 0
    for step in range(1, 2 * renamed.steps_per_epoch + 1):
        window, resets = renamed(step), renamed.resets(step)
        np.testing.assert_array_equal(window[~resets, 0], before[~resets, -1])
        changes += resets.any()
        before = window
    assert changes < 12


def test_length_and_characters_are_those_of_the_text() -> None:
    renamed, original = batches(), Batches(IDS, TrainingConfig(batch_size=4))
    assert isinstance(renamed, RenamedBatches)
    assert (renamed.steps_per_epoch, renamed.batch_size) == (original.steps_per_epoch, original.batch_size)
    for step in range(renamed.steps_per_epoch):
        assert renamed(step).shape == original(step).shape
        assert (renamed(step) != UNKNOWN).all()


@settings(max_examples=10)
@given(st.randoms(use_true_random=False), st.integers(0, 3), st.sampled_from([16, 100, 5000]))
def test_a_batch_is_a_pure_function_of_its_step_and_the_seed(
    chance: random.Random, seed: int, time: int
) -> None:
    changed = {"seed": seed, "sequence_length": time, "rename_share": 0.5}
    straight, other = batches(**changed), batches(**changed)
    steps = chance.sample(range(3 * straight.steps_per_epoch), 6)
    expected = {step: (straight(step), straight.resets(step)) for step in sorted(steps)}
    for step in steps:
        np.testing.assert_array_equal(other(step), expected[step][0])
        np.testing.assert_array_equal(other.resets(step), expected[step][1])
    part = other.many(steps[0], 1, range(2, 4))
    np.testing.assert_array_equal(part.windows[0], expected[steps[0]][0][2:4])


def test_off_where_nobody_asked_and_where_there_are_too_few() -> None:
    for changed in ({"rename_names": False}, {"rename_share": 0.0}):
        assert batches(**changed).names == 0
    assert batches(rename_names="auto").names == len(PEOPLE)
    two = VOCABULARY.encode(re.sub("|".join(PEOPLE[2:]), "he", PLAY, flags=re.IGNORECASE))
    assert batches(ids=two, rename_names="auto").names == 0
    assert batches(ids=two).names == 2
    plain = "what says he to that or to his own brother?\n"
    silent = VOCABULARY.encode(PLAY.replace(":", ",").replace("\n\n", "\n" + 4 * plain))
    assert batches(ids=silent, rename_names="auto").names == 0
    assert batches(ids=silent).names == len(PEOPLE)
    rare = VOCABULARY.encode(play(100) + 8000 * plain)
    assert batches(ids=rare, rename_names="auto").names == 0
    assert batches(ids=rare).names == len(PEOPLE)
    assert batches(ids=VOCABULARY.encode("what says that, or to what?\n" * 100)).names == 0


def test_chunks_cannot_have_other_names() -> None:
    with pytest.raises(CharreplError, match='rename_names needs batching = "streams": leave one of'):
        batches(batching="chunks")
    assert batches(batching="chunks", rename_names="auto").names == 0
