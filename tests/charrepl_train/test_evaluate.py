"""Losses, against the plainest way to compute them."""

from __future__ import annotations

import numpy as np
import pytest

from charrepl_train import evaluate


@pytest.fixture
def plain(trained, reference):
    """f64 losses [rows, n - 1] of rows of ids [rows, n] by the trained model, each from a zero carry."""

    def losses(ids: np.ndarray) -> np.ndarray:
        ids = np.atleast_2d(ids)
        _, logits = reference(trained.state["params"], ids[:, :-1])
        total = np.log(np.exp(logits).sum(axis=-1))
        return total - np.take_along_axis(logits, ids[:, 1:, None], axis=-1)[..., 0]

    return losses


@pytest.fixture
def evaluator(trained) -> evaluate.Evaluator:
    return evaluate.Evaluator(
        trained.definition, trained.config.model.layers, trained.config.model.hidden_size
    )


@pytest.mark.parametrize("length", [2, 257, 900])
def test_one_pass_over_a_short_text_is_exact(length: int, trained, evaluator, plain, corpus) -> None:
    ids = trained.vocabulary.encode(corpus.read_text()[:length])
    assert evaluator.stateful(trained.state["params"], ids) == pytest.approx(plain(ids).mean(), abs=2e-6)


def test_a_long_text_read_side_by_side_is_within_1e_4_of_one_pass(trained, evaluator, plain, corpus) -> None:
    text = corpus.read_text() * 14  # 26,866 characters: three streams
    shuffled = "\n\n".join(np.random.default_rng(1).permutation(text.split("\n\n")))
    ids = trained.vocabulary.encode(shuffled)
    assert len(ids) > 3 * 8 * evaluate._OVERLAP
    assert evaluator.stateful(trained.state["params"], ids) == pytest.approx(plain(ids).mean(), abs=1e-4)


@pytest.mark.parametrize("length", [257, 1919])
def test_windows_each_start_from_a_zero_carry(length: int, trained, evaluator, plain, corpus) -> None:
    ids = trained.vocabulary.encode(corpus.read_text()[:length])
    count = (length - 1) // 256
    rows = np.stack([ids[256 * n : 256 * n + 257] for n in range(count)])
    assert evaluator.windows(trained.state["params"], ids) == pytest.approx(plain(rows).mean(), abs=2e-6)


def test_a_large_alphabet_is_read_in_shorter_pieces(
    trained, evaluator, plain, corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_LOGITS", 64 * len(trained.vocabulary) * 50)
    ids = trained.vocabulary.encode(corpus.read_text()).astype(np.uint8)
    rows = np.stack([ids[256 * n : 256 * n + 257] for n in range(7)])
    assert evaluator.windows(trained.state["params"], ids) == pytest.approx(plain(rows).mean(), abs=2e-6)
    assert evaluator.stateful(trained.state["params"], ids) == pytest.approx(plain(ids).mean(), abs=2e-6)


def test_a_text_shorter_than_a_window_has_no_loss_in_windows(trained, evaluator) -> None:
    assert evaluator.windows(trained.state["params"], np.ones(256, np.int32)) is None


@pytest.mark.parametrize(("length", "streams"), [(2, 1), (1919, 4)])
def test_streams_each_start_from_a_zero_carry(
    length: int, streams: int, trained, evaluator, plain, corpus
) -> None:
    ids = trained.vocabulary.encode(corpus.read_text()[:length])
    each = -(-(length - 1) // streams)
    parts = [plain(ids[start : start + each + 1]) for start in range(0, length - 1, each)]
    expected = sum(part.sum() for part in parts) / (length - 1)
    assert sum(part.size for part in parts) == length - 1
    assert evaluator.streams(trained.state["params"], ids, streams) == pytest.approx(expected, abs=2e-6)
