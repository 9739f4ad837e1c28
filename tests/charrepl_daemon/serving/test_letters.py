"""What the model reads of letters that can be stored in several ways, and what comes back for each."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import jax
import numpy as np
import pytest

from charrepl.wire import protocol
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model.scoring import next_piece
from charrepl_train.model_directory import checkpoint
from charrepl_train.optimisation.training_step import evaluated
from charrepl_train.text.vocabulary import Vocabulary
from tests.charrepl_daemon import engine_requests

NFC = "Là-bas, l’été\na été très « français », où\u0915\u093c l’on est né.\n" * 3
NFD = unicodedata.normalize("NFD", NFC)


@pytest.fixture(scope="module")
def directory(tmp_path_factory, make_trainer) -> Path:
    """A model of typeset French in NFC, whose weights are any, and large: each letter tells."""
    directory = tmp_path_factory.mktemp("models") / "french"
    trainer = make_trainer(directory, NFC, held_out=0.0)
    params = jax.tree.map(lambda weights: 4 * weights, evaluated(trainer.state))
    checkpoint.save(directory, "best", 1, params)
    return directory


@pytest.fixture(scope="module")
def engine(directory) -> Engine:
    engine = Engine(directory, cache_bytes=4 << 20)
    engine.make("score")
    return engine


def scored(engine: Engine, text: str, *, adapt: bool = False) -> list[float]:
    """The log-probability of each character, in the pieces that a request is read in."""
    request = protocol.Score(seq=1, text=text, adapt=adapt)
    found, carry = [], b""
    while len(found) < len(text):
        piece, before = next_piece(request, len(found))
        carry, log_probs = engine.score(piece, carry, engine.digest if carry else "", before=before)
        found += log_probs
    return found


def ghost(engine: Engine, text: str, *, session: str, decoding: Decoding | None = None) -> str:
    request = engine_requests.complete(text, stop="none", max_chars=24, decoding=decoding or Decoding())
    (generation,) = engine.planner.ghosts(session, request)
    while not generation.done:
        engine.step([generation])
    engine.release(generation)
    return generation.text


@pytest.mark.parametrize("adapt", [False, True])
def test_a_text_scores_the_same_composed_and_decomposed(engine, adapt):
    assert len(NFD) > len(NFC)
    composed, decomposed = scored(engine, NFC, adapt=adapt), scored(engine, NFD, adapt=adapt)
    assert len(decomposed) == len(NFD)  # one for each character sent
    np.testing.assert_allclose(sum(decomposed), sum(composed), atol=1e-3)
    marks = [log_prob for char, log_prob in zip(NFD, decomposed, strict=True) if unicodedata.combining(char)]
    assert not any(marks[:5])  # the letter's first character has it all


def test_letters_that_only_unfold_are_read_however_many_there_are(engine):
    text = "\u0958" * 300  # in NFC two characters each
    assert len(scored(engine, text)) == 300
    assert ghost(engine, "\u0958" * 2047, session="unfolds") == ghost(
        engine, "\u0958" * 2047, session="unfolds again"
    )


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(temperature=1.0, seed=3)])
def test_a_text_has_the_same_ghost_composed_and_decomposed(engine, decoding):
    text = "Là-bas, l’été\na été"
    ghosts = {
        ghost(engine, unicodedata.normalize(form, text), session=f"{form}-{n}", decoding=decoding)
        for form in ("NFC", "NFD")
        for n in range(2)
    }
    assert len(ghosts) == 1
    assert ghost(engine, "La-bas, l’ete", session=f"without {decoding}", decoding=decoding) not in ghosts
    # In one session too, where what is known of one is known of the other.
    for form in ("NFC", "NFD"):
        normal = unicodedata.normalize(form, text)
        assert ghost(engine, normal, session="both", decoding=decoding) in ghosts


def test_quotes_and_spaces_that_the_model_lacks_are_those_it_has(engine):
    typeset = "Là-bas, l’été\na été très «français», où"
    typed = typeset.replace("’", "'").replace("«", '"').replace("»", '"').replace(" ", "\u202f")
    assert '"' not in engine.vocabulary.characters
    assert scored(engine, typed) == scored(engine, typeset)
    assert ghost(engine, typed, session="typed") == ghost(engine, typeset, session="typeset")


def test_a_model_made_before_letters_were_folded_reads_as_it_did(engine, monkeypatch):
    assert engine.vocabulary.normal_form == "NFC"
    monkeypatch.setattr(engine._scorer, "_vocabulary", Vocabulary(engine.vocabulary.characters))
    assert all(scored(engine, NFD))  # each mark is a letter of its own
