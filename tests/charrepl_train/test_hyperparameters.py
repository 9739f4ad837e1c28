"""Settings: what they are, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import PRESETS, Config


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_being_written(name: str) -> None:
    config = hyperparameters.preset(name)
    assert hyperparameters.parse(hyperparameters.dump(config), source="test") == config


@given(st.floats(1e-12, 10), st.floats(0, 1, exclude_max=True), st.floats(0, 1e6), st.integers(0, 2**31 - 1))
def test_any_number_survives_being_written(rate: float, beta2: float, clip: float, seed: int) -> None:
    changed = {"learning_rate": rate, "beta2": beta2, "clip_norm": clip, "seed": seed}
    config = hyperparameters.replace(Config(), training=changed)
    assert hyperparameters.parse(hyperparameters.dump(config), source="test") == config


def test_the_seed_preset_is_the_article_s_recipe() -> None:
    config = hyperparameters.preset("seed")
    assert (config.model.layers, config.model.hidden_size) == (3, 512)
    training = config.training
    assert training.batching == "chunks"
    assert training.sequence_length + 1 == 50
    assert training.batch_size == 32
    assert (training.held_out, training.dev) == (0, 0)
    assert training.epochs == 100
    assert (training.learning_rate, training.weight_decay) == (0.002, 0.1)
    assert (training.beta2, training.clip_norm) == (0.999, 0)  # Adam as it comes
    assert (training.schedule, training.decay, training.decay_epochs) == ("steps", 0.97, 5)
    assert (training.dropout, training.forget_bias) == (0, 0)
    assert training.precision == "f32"
    assert (training.sample_characters, training.sample_epochs) == (200, 10)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[training]\n\nbatch_sise = 3", "line 3: unknown setting 'batch_sise'; did you mean batch_size?"),
        ("[modle]\nlayers = 2", "line 1: unknown setting 'modle'; did you mean model?"),
        ("[training]\nhidden_size = 3", "line 2: unknown setting 'hidden_size'; it belongs under [model]"),
        ("epochs = 3", "line 1: unknown setting 'epochs'; it belongs under [training]"),
        ("[model]\nzzz = 1", "line 2: unknown setting 'zzz'; known: layers, hidden_size, output_layers"),
        ("[model]\nlayers = 0", "line 2: layers: expected `int` >= 1"),
        ("[model]\nlayers = 2\n\n[training]\ndropout = 1.5", "line 5: dropout: expected `float` <= 0.9"),
        ("\ntraining.epochs = -1", "line 2: epochs: expected `float` > 0.0"),
        ("[training]\nlearning_rate = nan", "line 2: learning_rate: expected `float` > 0.0"),
        ("[training]\nclip_norm = inf", "line 2: clip_norm: expected `float` <= 1000000.0"),
        ("[training]\nbatch_size = 3.5", "line 2: batch_size: expected `int`, got `float`"),
        ("[training]\nbatch_size = '3'", "line 2: batch_size: expected `int`, got `str`"),
        ("[training]\nprecision = 'f16'", "line 2: precision: invalid enum value 'f16'"),
        ("training = 3", "line 1: training: expected `object`, got `int`"),
        ("[training", "is not TOML: Expected ']' at the end of a table declaration"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(CharreplError) as raised:
        hyperparameters.parse(text, source="my.toml")
    assert str(raised.value).startswith("my.toml")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nbatch_size = 7\n")
    base = hyperparameters.preset("seed")
    config = hyperparameters.load(path, base=base)
    assert config == hyperparameters.replace(base, training={"batch_size": 7})


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file"), (b"\xff\xfe", "is not UTF-8 text: save it as UTF-8")]
)
def test_an_unreadable_file_is_one_line(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CharreplError, match=complaint):
        hyperparameters.load(path)
