"""What was set aside may be learnt at the end, and the figures are from before that."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from charrepl_train.model_directory import loaded_model
from charrepl_train.run import last_pass, loop
from charrepl_train.run.loop import Trainer
from charrepl_train.text import fingerprint
from tests.charrepl_train.command import metrics, run_file, train


@pytest.fixture(scope="module")
def passing(settings: Path, home: Path) -> Path:
    """Settings with a last pass."""
    path = home / "passing.toml"
    path.write_text(settings.read_text().replace("last_pass = false", "last_pass = true"))
    return path


def steps(directory: Path) -> dict[str, int]:
    return {
        kind: int(step)
        for path in (directory / "checkpoints").iterdir()
        for kind, step in [path.name.split("-")]
    }


def test_what_was_set_aside_is_learnt_and_never_measured_after(
    tmp_path: Path, corpus: Path, passing: Path
) -> None:
    directory = tmp_path / "run"
    result = train(corpus, "--config", passing, "--epochs", 4, "--out", directory)
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stderr.split())
    assert "Then it learnt the 364 characters that were set aside: all figures are from before that." in said
    first = metrics(directory)[-1]
    assert first["last_pass_characters"] == 364
    found = steps(directory)
    assert found["best"] == found["measured"]
    learnt = loaded_model.load(directory)

    # Measured once more, it is what was chosen that is measured, and nothing that is learnt further counts.
    assert train(corpus, "--out", directory, "--resume").exit_code == 0
    assert metrics(directory)[-1] == first
    again = loaded_model.load(directory)
    jax.tree.map(np.testing.assert_array_equal, learnt.params, again.params)

    plain = tmp_path / "plain.toml"
    plain.write_text(passing.read_text().replace("last_pass = true", "last_pass = false"))
    without = tmp_path / "without"
    assert train(corpus, "--config", plain, "--epochs", 4, "--out", without).exit_code == 0
    assert metrics(without)[-1] == {k: v for k, v in first.items() if k != "last_pass_characters"}
    assert "measured" not in steps(without)
    chosen = loaded_model.load(without)
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, learnt.params, chosen.params)

    # Further steps are those of a run without a last pass.
    for run in (directory, without):
        assert train(corpus, "--out", run, "--resume", "--epochs", 6).exit_code == 0
    with_one, with_none = (
        [line["dev_loss"] for line in metrics(run) if "dev_loss" in line] for run in (directory, without)
    )
    assert with_one == with_none
    assert metrics(directory)[-1]["held_out_loss"] == metrics(without)[-1]["held_out_loss"]


def test_a_last_pass_that_is_interrupted_is_taken_when_the_run_goes_on(
    tmp_path: Path, corpus: Path, passing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop.last_pass, "learnt", interrupt)
        assert train(corpus, "--config", passing, "--epochs", 1, "--out", directory).exit_code == 130
    assert not run_file(directory)["finished"]
    assert train(corpus, "--out", directory, "--resume").exit_code == 0
    assert metrics(directory)[-1]["last_pass_characters"] == 364


def test_text_that_is_learnt_last_costs_less_after(trained: Trainer) -> None:
    ids = trained.corpus.set_aside()
    params = trained.state["params"]
    after = last_pass.learnt(trained.definition, trained.config, params, ids, trained.devices)
    text = trained.corpus.held_out
    assert trained._evaluator.stateful(after, text) < trained._evaluator.stateful(params, text)


def seen(directory: Path) -> float:
    return run_file(directory)["held_out_seen"]


def test_a_text_that_was_learnt_before_has_no_held_out_loss(
    tmp_path: Path, home: Path, settings: Path
) -> None:
    random = np.random.default_rng(0)
    words = [bytes(word).decode() for word in random.integers(97, 107, (48_000, 4)).astype(np.uint8)]
    long, part, other = tmp_path / "long.txt", tmp_path / "part.txt", tmp_path / "other.txt"
    long.write_text(" ".join(words[:36_000]) + "\n")
    part.write_text(" ".join(words[4_000:32_000]) + "\n")
    other.write_text(" ".join(words[36_000:]) + "\n")
    short = ["--epochs", 0.01]
    assert train(long, "--config", settings, *short, "--out", tmp_path / "base").exit_code == 0
    assert fingerprint.load(tmp_path / "base").hashes

    passing = tmp_path / "passing.toml"
    passing.write_text("[training]\nsample_characters = 0\nevaluations = 1\n")
    command = ["--from", tmp_path / "base", "--config", passing, *short, "--out"]
    result = train(part, *command, tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stderr.split())
    warning = "base has learnt 100% of what is held out here: the loss on it is no held-out loss."
    assert said.count(warning) == 2
    assert "Held-out loss" not in said
    assert "held_out_loss" not in metrics(tmp_path / "again")[-1]
    assert metrics(tmp_path / "again")[-1]["learnt_loss"] > 0

    # What `again` has learnt last is part of what it knows.
    result = train(other, *command, tmp_path / "own")
    assert "Held-out loss" in result.stderr
    assert seen(tmp_path / "own") == 0
    command[1] = tmp_path / "own"
    assert train(other, *command, tmp_path / "own-again").exit_code == 0
    assert seen(tmp_path / "own-again") == 1
