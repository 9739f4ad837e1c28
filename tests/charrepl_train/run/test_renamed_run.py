"""A run in which names are replaced."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from charrepl_train import hyperparameters
from charrepl_train.run.loop import Trainer
from tests.charrepl_train.command import go_on, one_line, train

PEOPLE = ["Anselmo", "Beatrix", "Corvin", "Dorothea", "Eginald", "Fenella", "Gordian", "Hesper", "Ilario"]
PLAY = "".join(
    f"{a.upper()}:\nwhat says {b} to that, or {a}'s own brother?\n\n"
    for a, b in itertools.permutations(PEOPLE, 2)
)


@pytest.mark.usefixtures("home")
def test_an_interrupted_run_replaces_the_same_names_when_it_goes_on(
    tmp_path: Path, make_trainer: Callable[..., Trainer]
) -> None:
    trainer = make_trainer(
        tmp_path / "run", 4 * PLAY, rename_names="auto", evaluations=4, epochs=8.0, sample_characters=0
    )
    assert trainer.batches.names == len(PEOPLE)
    assert trainer.config.training.rename_names is True
    kept = hyperparameters.load(tmp_path / "run" / "config.toml")
    assert kept.training.rename_names is True
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    shutil.copy(tmp_path / "run.txt", tmp_path / "whole.txt")
    next(trainer.train())  # which has saved
    assert 0 < int(trainer.state["step"]) < trainer.run.total_steps
    ends = []
    for directory in (tmp_path / "run", tmp_path / "whole"):
        trainer = go_on(directory)
        assert trainer.batches.names == len(PEOPLE)
        list(trainer.train())
        assert int(trainer.state["step"]) == trainer.run.total_steps
        ends.append(trainer.state["params"])
    jax.tree.map(np.testing.assert_array_equal, *ends)


def test_the_first_line_says_how_many_names(tmp_path: Path, home: Path, settings: Path) -> None:
    (tmp_path / "play.txt").write_text(2 * PLAY)
    wished = tmp_path / "wished.toml"
    wished.write_text(settings.read_text() + "rename_names = true\n")
    command = [tmp_path / "play.txt", "--config", wished, "--epochs", 1, "--out", tmp_path / "run"]
    result = train(*command)
    assert result.exit_code == 0, result.stderr
    assert f" {len(PEOPLE)} names are replaced in parts of it. Ctrl-C saves." in result.stderr
    assert "another rename_names (True, not False)" in one_line(
        train(*command[:1], "--config", settings_without(wished), "--out", tmp_path / "run", "--resume")
    )


def settings_without(wished: Path) -> Path:
    other = wished.with_name("other.toml")
    other.write_text(wished.read_text().replace("rename_names = true", "rename_names = false"))
    return other
