"""`charrepl-train --size`: how large a model is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charrepl_train.hyperparameters import PRESETS, preset
from charrepl_train.run import sizes
from tests.charrepl_train.command import one_line, train


@pytest.mark.parametrize("name", PRESETS)
def test_medium_is_what_a_preset_says_and_the_others_are_smaller_and_larger(name: str) -> None:
    config = preset(name)
    assert sizes.sized(config, "medium") == config
    units = [layers * hidden_size for layers, hidden_size in sizes.by_name(config.model).values()]
    assert list(sizes.by_name(config.model)) == list(sizes.SIZES)
    assert units == sorted(set(units))
    large = sizes.sized(config, "large")
    assert large.training == config.training
    assert large.model.output_layers == config.model.output_layers


def test_the_size_is_that_of_the_model(tmp_path: Path, corpus: Path) -> None:
    result = train(corpus, "--size", "small", "--out", tmp_path / "run", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["layers"], found["hidden_size"]) == (1, 128)


def test_a_size_is_refused_where_there_is_one_already(tmp_path: Path, corpus: Path, whole: Path) -> None:
    line = one_line(train(corpus, "--size", "large", "--from", whole, "--out", tmp_path / "run"))
    assert line == "a model that starts from whole has its size: leave --size or --from out"
    result = train(corpus, "--size", "large", "--out", whole, "--resume")
    assert result.exit_code == 2
    assert "--size is for a new run" in result.stderr
