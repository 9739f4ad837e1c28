"""Whether a text was learnt is told from a sample of hashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charrepl_train.text import fingerprint
from charrepl_train.text.fingerprint import Fingerprint
from charrepl_train.text.vocabulary import Vocabulary


def words(seed: int, number: int = 20_000) -> str:
    """So many random words, in lines."""
    random = np.random.default_rng(seed)
    letters = random.integers(97, 123, (number, 5)).astype(np.uint8)
    lines = (b" ".join(map(bytes, letters[n : n + 8])) for n in range(0, number, 8))
    return b"\n".join(lines).decode()


def taken(*texts: str) -> Fingerprint:
    vocabulary = Vocabulary("".join(sorted({char for text in texts for char in text})))
    return fingerprint.compute(map(vocabulary.encode, texts), vocabulary)


TEXT = words(0)


@pytest.mark.parametrize(
    "changed",
    [
        TEXT[70_000:100_000],
        TEXT[70_000:100_000].upper(),
        TEXT[70_000:100_000].replace("\n", " ").replace(" ", ", "),
    ],
)
def test_a_part_of_what_was_learnt_is_known_by_its_letters(changed: str) -> None:
    assert taken(TEXT).share_of(taken(changed)) > 0.99


def test_half_of_a_text_is_half_known() -> None:
    assert taken(TEXT).share_of(taken(words(1) + TEXT)) == pytest.approx(0.5, abs=0.1)


def test_other_text_and_too_little_text_are_not_known() -> None:
    assert taken(TEXT).share_of(taken(words(1))) == 0
    assert taken(TEXT).share_of(taken(words(1) + TEXT[:1_000])) == 0
    assert taken(TEXT).share_of(taken(TEXT[:200])) == 0
    assert Fingerprint().share_of(taken(TEXT)) == taken(TEXT).share_of(Fingerprint()) == 0
    assert taken("short", "").hashes == b""


def test_it_does_not_depend_on_how_much_is_hashed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = taken(TEXT)
    monkeypatch.setattr(fingerprint, "_BLOCK", 1_009)
    assert taken(TEXT) == whole


def test_a_long_text_has_no_more_hashes_and_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, part = taken(TEXT), taken(TEXT[:60_000])
    monkeypatch.setattr(fingerprint, "_MOST", 100)
    fewer = taken(TEXT)
    assert len(fewer.array()) <= 100 < len(whole.array())
    assert fewer.limit < whole.limit
    assert fewer.share_of(part) > 0.99
    both = fewer | taken(words(1))
    assert len(both.array()) <= 100
    assert both.share_of(part) > 0.99
    assert both.share_of(taken(words(1))) > 0.99


def test_it_is_kept_with_a_model(tmp_path: Path) -> None:
    assert fingerprint.load(tmp_path) == Fingerprint()
    (tmp_path / fingerprint.FILE).write_bytes(fingerprint.encoded(taken(TEXT)))
    assert fingerprint.load(tmp_path) == taken(TEXT)
    (tmp_path / fingerprint.FILE).write_text("{")
    assert fingerprint.load(tmp_path) == Fingerprint()
