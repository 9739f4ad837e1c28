"""The article's worked example: a model that has seen one word finishes it."""

from __future__ import annotations

from pathlib import Path

from charrepl_train.run import samples


def test_a_model_trained_on_fuzzy_continues_f_with_uzzy(tmp_path: Path, make_trainer) -> None:
    trainer = make_trainer(
        tmp_path / "fuzzy",
        "FUZZY",
        hidden_size=8,
        sequence_length=4,
        batch_size=1,
        held_out=0.0,
        dev=0.0,
        batching="chunks",
        epochs=150.0,
        learning_rate=0.05,
        dropout=0.0,
        evaluations=1,
    )
    measured = list(trainer.train())
    assert measured[-1].accuracy == 1
    assert trainer.finish() == {}  # all of the text was trained on: nothing is claimed
    written = samples.generate(
        trainer.definition, trainer.state["params"], trainer.vocabulary, prompt="F", characters=4
    )
    assert written == "UZZY"
