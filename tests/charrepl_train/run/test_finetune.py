"""Starting from another model: what it has learnt is kept, by character, and a run resumes as any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl_train import hyperparameters
from charrepl_train.model import network
from charrepl_train.model_directory import checkpoint, loaded_model
from charrepl_train.model_directory.loaded_model import LoadedModel
from charrepl_train.run import finetune, loop
from charrepl_train.run.loop import Trainer
from charrepl_train.text.corpus import read
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary
from tests.charrepl_train.command import metrics, one_line, run_file, train

SETTINGS = """\
[training]
batch_size = 4
sequence_length = 16
epochs = 4.0
evaluations = 4
sample_characters = 0
last_pass = false
"""


@pytest.fixture(scope="module")
def settings(home: Path) -> Path:
    path = home / "settings.toml"
    path.write_text(SETTINGS)
    return path


def logits(loaded: LoadedModel, params, vocabulary: Vocabulary, text: str) -> np.ndarray:
    config = loaded.config.model
    definition, _ = network.abstract(config, len(vocabulary))
    model = network.bind(definition, jax.tree.map(jnp.asarray, params))
    return np.asarray(model(model.initial_carry(1), vocabulary.encode(text)[None])[1][0])


def same(a: np.ndarray, b: np.ndarray) -> None:
    """Equal, but for sums of another width."""
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_known_characters_keep_what_was_learnt_and_new_ones_start_as_unknown(trained: Trainer) -> None:
    base = loaded_model.load(trained.directory)
    text = "lamp and light"
    vocabulary = Vocabulary("§" + "".join(sorted(set(text))) + "é")  # some are new, most are gone
    params = finetune.weights(base, vocabulary)
    before = logits(base, base.params, base.vocabulary, text)
    after = logits(base, params, vocabulary, text)
    shared = sorted(set(text))
    same(after[:, vocabulary.encode("".join(shared))], before[:, base.vocabulary.encode("".join(shared))])
    for new in (UNKNOWN, *vocabulary.encode("§é")):
        same(after[:, new], before[:, UNKNOWN])
    same(
        logits(base, params, vocabulary, "l§mp")[:, vocabulary.encode("a")],
        logits(base, base.params, base.vocabulary, "l§mp")[:, base.vocabulary.encode("a")],
    )


def test_characters_that_are_new_are_counted_and_shown(trained: Trainer) -> None:
    base = loaded_model.load(trained.directory)
    assert finetune.new_characters(base, Vocabulary("lamp"), "base") == []
    (line,) = finetune.new_characters(base, Vocabulary("lamp§\N{COMBINING ACUTE ACCENT}"), "base")
    assert line == "2 characters are new to base, and learnt from the start: § U+0301."
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 30)))
    (line,) = finetune.new_characters(base, Vocabulary(many), "base")
    assert line.startswith("30 characters are new to base")
    assert line.endswith(" and 6 more.")


def test_a_short_text_in_english_is_told_of_the_model_that_comes_along(tmp_path: Path) -> None:
    english = tmp_path / "english.txt"
    english.write_text("It is not the end of this, and you have to go on with it.\n" * 40)
    said = "--from shakespeare starts from the model that comes with charrepl"
    run = ["--out", tmp_path / "run", "--dry-run"]
    assert said in " ".join(train(english, *run).stderr.split())
    assert said not in " ".join(train(english, *run, "--preset", "small").stderr.split())
    german = tmp_path / "german.txt"
    german.write_text("Das ist nicht das Ende, und du musst damit weitermachen.\n" * 40)
    with read([german], near=tmp_path) as text:
        assert finetune.suggested(text) == []


def test_a_run_starts_where_the_other_model_is(
    home: Path, tmp_path: Path, corpus: Path, settings: Path, trained: Trainer
) -> None:
    result = train(corpus, "--from", trained.directory, "--config", settings, "--out", tmp_path / "own")
    assert result.exit_code == 0, result.stderr
    assert f" with preset finetune, for weights to start from, from {trained.directory.name}: 1 x 24, " in (
        " ".join(result.stderr.split())
    )
    config = hyperparameters.load(tmp_path / "own" / "config.toml")
    assert config.model == trained.config.model
    assert config.training.precision in ("f32", "bf16")  # of auto, what this machine is faster at
    nothing = tmp_path / "nothing.toml"
    nothing.write_text(f"[model]\nlayers = 1\nhidden_size = 24\n{SETTINGS}learning_rate = 0.001\n")
    train(corpus, "--config", nothing, "--out", tmp_path / "nothing")
    begun, from_nothing = metrics(tmp_path / "own")[0], metrics(tmp_path / "nothing")[0]
    assert begun["step"] == from_nothing["step"]
    assert begun["loss"] < from_nothing["loss"] - 1


@pytest.mark.parametrize("preset", ["finetune", "laptop"])
@pytest.mark.parametrize("output", ["last", "all"])
def test_the_output_reads_the_layers_that_the_base_s_does(output: str, preset: str) -> None:
    asked = hyperparameters.preset(preset)
    model = {"layers": 3, "hidden_size": 24, "output_layers": output}
    config = hyperparameters.replace(hyperparameters.Config(), model=model)
    base = LoadedModel(config, Vocabulary("ab"), {}, 0, "")
    assert finetune.settings(asked, base, preset=asked).model == config.model


def test_a_run_starts_where_a_model_with_output_from_all_layers_is(
    home: Path, tmp_path: Path, corpus: Path, settings: Path, make_trainer: Callable[..., Trainer]
) -> None:
    base = make_trainer(tmp_path / "base", corpus.read_text(), layers=2, output_layers="all")
    assert [*base.train()]
    command = [corpus, "--from", base.directory, "--config", settings, "--epochs", 0.1]
    assert train(*command, "--out", tmp_path / "own").exit_code == 0
    loaded = loaded_model.load(tmp_path / "own")
    assert loaded.config.model == base.config.model
    assert loaded.params["output"]["w"].shape[0] == 2 * 16


def test_a_run_that_saved_nothing_yet_starts_from_the_same_weights_again(
    home: Path,
    tmp_path: Path,
    corpus: Path,
    settings: Path,
    trained: Trainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = shutil.copytree(trained.directory, tmp_path / "base")
    command = [corpus, "--from", base, "--config", settings, "--out"]
    assert train(*command, tmp_path / "whole").exit_code == 0

    def lost(*arguments: object, **options: object) -> None:
        raise jax.errors.JaxRuntimeError("the device is gone")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "update", lost)
        assert train(*command, tmp_path / "cut").exit_code == 1
    assert not checkpoint.exists(tmp_path / "cut", "latest")
    assert run_file(tmp_path / "cut")["started_from"] == str(base)
    changed = shutil.copytree(tmp_path / "cut", tmp_path / "changed")

    assert train(*command, tmp_path / "cut", "--resume").exit_code == 0
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    assert train(*command, tmp_path / "cut", "--resume").exit_code == 0  # needs the base no longer

    (base / "config.toml").write_text((base / "config.toml").read_text() + "\n")
    assert one_line(train(corpus, "--out", changed, "--resume")) == (
        f"changed started from {base}, which has changed since, and saved nothing: "
        "train anew under another --name"
    )


def test_another_start_and_other_layers_are_refused(
    home: Path, tmp_path: Path, corpus: Path, settings: Path, trained: Trainer
) -> None:
    deep = tmp_path / "deep.toml"
    deep.write_text("[model]\nlayers = 2\n" + SETTINGS)
    out = tmp_path / "own"
    assert one_line(train(corpus, "--from", trained.directory, "--config", deep, "--out", out)) == (
        "the model to start from has 1 layers of 24, and the settings ask for 2 of 512: "
        "leave [model] out of them"
    )
    deep.write_text('[model]\noutput_layers = "all"\n' + SETTINGS)
    assert one_line(train(corpus, "--from", trained.directory, "--config", deep, "--out", out)) == (
        "the model to start from has output_layers = last, and the settings ask for all: "
        "leave [model] out of them"
    )
    assert one_line(train(corpus, "--from", "nobody", "--out", out)).startswith("there is no model named")
    assert not out.exists()
    assert (
        train(corpus, "--config", settings, "--epochs", 0.1, "--preset", "small", "--out", out).exit_code == 0
    )
    assert one_line(train(corpus, "--from", trained.directory, "--out", out, "--resume")).startswith(
        f"own was trained with another start (from nothing, not {trained.directory}): resume without"
    )
