"""Losses, against the plainest way to compute them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charrepl_train.model_directory import checkpoint
from charrepl_train.optimisation import evaluate
from charrepl_train.text.excerpts import CONTEXT, Excerpts, with_context


@pytest.fixture
def plain(trained, reference):
    """f64 losses [rows, n - 1] of rows of ids [rows, n] by the trained model, each from a zero carry."""

    def losses(ids: np.ndarray) -> np.ndarray:
        ids = np.atleast_2d(ids)
        _, logits = reference(trained.state["params"], ids[:, :-1])
        total = np.log(np.exp(logits).sum(axis=-1))
        return total - np.take_along_axis(logits, ids[:, 1:, None], axis=-1)[..., 0]

    return losses


def evaluator_of(trainer) -> evaluate.Evaluator:
    shape = trainer.config.model.layers, trainer.config.model.hidden_size
    return evaluate.Evaluator(trainer.definition, *shape)


@pytest.fixture
def evaluator(trained) -> evaluate.Evaluator:
    return evaluator_of(trained)


@pytest.mark.parametrize("length", [2, 257, 900])
def test_one_pass_over_a_short_text_is_exact(length: int, trained, evaluator, plain, corpus) -> None:
    ids = trained.vocabulary.encode(corpus.read_text()[:length])
    assert evaluator.stateful(trained.state["params"], Excerpts.whole(ids)) == pytest.approx(
        plain(ids).mean(), abs=2e-6
    )


def test_a_long_text_read_side_by_side_is_within_1e_4_of_one_pass(trained, evaluator, plain, corpus) -> None:
    text = corpus.read_text() * 14  # 26,866 characters: three streams
    shuffled = "\n\n".join(np.random.default_rng(1).permutation(text.split("\n\n")))
    ids = trained.vocabulary.encode(shuffled)
    assert len(ids) > 3 * 8 * CONTEXT
    assert evaluator.stateful(trained.state["params"], Excerpts.whole(ids)) == pytest.approx(
        plain(ids).mean(), abs=1e-4
    )


@pytest.mark.parametrize("length", [257, 1919])
def test_windows_each_start_from_a_zero_carry(length: int, trained, evaluator, plain, corpus) -> None:
    ids = trained.vocabulary.encode(corpus.read_text()[:length])
    count = (length - 1) // 256
    rows = np.stack([ids[256 * n : 256 * n + 257] for n in range(count)])
    assert evaluator.windows(trained.state["params"], Excerpts.whole(ids)) == pytest.approx(
        plain(rows).mean(), abs=2e-6
    )


def test_a_large_alphabet_is_read_in_shorter_pieces(
    trained, evaluator, plain, corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_LOGITS", 64 * len(trained.vocabulary) * 50)
    ids = trained.vocabulary.encode(corpus.read_text()).astype(np.uint8)
    rows = np.stack([ids[256 * n : 256 * n + 257] for n in range(7)])
    assert evaluator.windows(trained.state["params"], Excerpts.whole(ids)) == pytest.approx(
        plain(rows).mean(), abs=2e-6
    )
    assert evaluator.stateful(trained.state["params"], Excerpts.whole(ids)) == pytest.approx(
        plain(ids).mean(), abs=2e-6
    )


def test_a_text_shorter_than_a_window_has_no_loss_in_windows(trained, evaluator) -> None:
    assert evaluator.windows(trained.state["params"], Excerpts.whole(np.ones(256, np.int32))) is None


def test_pieces_are_read_after_what_stands_before_them(trained, evaluator, plain, corpus) -> None:
    ids = trained.vocabulary.encode(corpus.read_text() * 4)
    pieces = [(0, 200), (1500, 1900), (5000, 6100)]
    losses = plain(ids)[0]  # of each character but the first
    expected = np.concatenate([losses[max(start - 1, 0) : stop - 1] for start, stop in pieces]).mean()
    text = Excerpts(np.concatenate([ids[start:stop] for start, stop in with_context(pieces)]), pieces)
    params = trained.state["params"]
    assert evaluator.stateful(params, text) == pytest.approx(expected, abs=1e-4)
    same, loss = evaluator.dev(params, text, calibrate=False)
    assert same is params
    assert loss == pytest.approx(expected, abs=2e-3)  # in streams, each after 256 characters


def with_output(params: dict, factor: float) -> dict:
    return {**params, "output": {name: leaf * factor for name, leaf in params["output"].items()}}


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_a_calibrated_model_is_about_as_sure_as_suits_the_text(
    factor: float, trained, evaluator, reference, corpus
) -> None:
    params = trained.state["params"]
    parts = (corpus.read_text() * 8).split("\n\n")
    ids = trained.vocabulary.encode("\n\n".join(np.random.default_rng(2).permutation(parts))).astype(np.int32)
    _, logits = reference(params, ids[None, :-1])

    def loss(scale: float) -> float:
        scaled = logits * scale
        total = np.log(np.exp(scaled).sum(axis=-1))
        return float((total - np.take_along_axis(scaled, ids[None, 1:, None], axis=-1)[..., 0]).mean())

    calibrated, found = evaluator.dev(with_output(params, factor), Excerpts.whole(ids), calibrate=True)
    scale = float(calibrated["output"]["b"][1] / params["output"]["b"][1])
    best = min(np.arange(0.5, 2.0, 0.01), key=loss)
    assert found == pytest.approx(loss(scale), abs=2e-3)
    assert loss(scale) - loss(best) < 0.1 * (loss(factor) - loss(best)) + 1e-3
    for part in ("w", "b"):
        np.testing.assert_allclose(calibrated["output"][part], params["output"][part] * scale, rtol=1e-5)
    assert calibrated["layers"] is params["layers"]


def test_a_few_characters_hardly_move_how_sure_it_is(trained, evaluator) -> None:
    few = Excerpts.whole(np.array([1, 2, 3, 1, 2]))
    calibrated, _ = evaluator.dev(trained.state["params"], few, calibrate=True)
    np.testing.assert_allclose(
        calibrated["output"]["w"], trained.state["params"]["output"]["w"], rtol=0.1, atol=1e-6
    )


def test_what_is_kept_is_calibrated_and_its_dev_loss_told(tmp_path: Path, make_trainer, corpus) -> None:
    text = corpus.read_text() * 8
    kept = {}
    for calibrate in (True, False):
        trainer = make_trainer(
            tmp_path / str(calibrate), text, hidden_size=24, epochs=3.0, evaluations=1, calibrate=calibrate
        )
        *_, last = trainer.train()
        _, kept[calibrate] = checkpoint.load(trainer.directory, "best", trainer.state["params"])
        _, found = evaluator_of(trainer).dev(kept[calibrate], trainer.corpus.dev, calibrate=False)
        assert last.dev_loss == pytest.approx(found, abs=1e-6)
    scale = kept[True]["output"]["w"] / kept[False]["output"]["w"]
    np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-4)
    assert scale[0, 0] != 1
    np.testing.assert_array_equal(kept[True]["layers"]["0"]["w_hh"], kept[False]["layers"]["0"]["w_hh"])
