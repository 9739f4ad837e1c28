"""charrepl-train from the outside: what it prints, what it leaves, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from charrepl_train.model_directory import loaded_model
from charrepl_train.run import loop
from tests.charrepl_train.command import TINY, Start, finish, metrics, one_line, run_file, train


def test_a_run_leaves_a_model_and_says_how_to_type_with_it(
    start: Start, home: Path, settings: Path, corpus: Path
) -> None:
    code, out, err = finish(start(corpus, "--config", settings, "--epochs", 2))
    assert code == 0
    assert out == ""
    assert err[0].startswith("Training corpus on CPU, ")
    assert " with preset small, for a short text: 1 x 16, " in err[0]
    assert err[0].endswith("1,555 characters of 45 kinds, 2 epochs. Ctrl-C saves.")
    assert err[-3].startswith("Held-out loss ")
    assert re.fullmatch(
        r"charrepl opens corpus from now on. The one before, (\w+), opens with: charrepl --model \1", err[-2]
    )
    assert err[-1] == "Type with it: charrepl"
    directory = home / "data" / "models" / "corpus"
    assert sorted(path.name for path in directory.iterdir()) == [
        "checkpoints",
        "config.toml",
        "curve.png",
        "curve.svg",
        "learnt.json",
        "metrics.jsonl",
        "run.json",
        "tensorboard",
        "train.lock",
        "vocab.json",
    ]
    steps = run_file(directory)["total_steps"]
    assert steps == 2 * 24
    assert run_file(directory)["finished"]
    *lines, last = metrics(directory)
    assert [line["step"] for line in lines][-1] == steps
    assert all({"loss", "accuracy", "learning_rate", "dev_loss", "sample"} <= line.keys() for line in lines)
    assert all(len(line["sample"]) == 30 for line in lines)
    assert {"step", "held_out_loss"} <= last.keys()
    assert loaded_model.load(directory).config.training.epochs == 2


def test_the_best_weights_are_those_of_the_lowest_dev_loss(whole: Path) -> None:
    lines = [line for line in metrics(whole) if "dev_loss" in line]
    best = min(lines, key=lambda line: line["dev_loss"])
    assert loaded_model.load(whole).step == best["step"]


def test_json_goes_to_standard_output(home: Path, tmp_path: Path, settings: Path, corpus: Path) -> None:
    directory = tmp_path / "my model"
    book = tmp_path / "book.txt"
    marked_up = corpus.read_text()[800:] + "\n<p>" * 200
    book.write_text(f"{marked_up}\nAll rights reserved. It is licensed under the terms of use.\n")
    result = train(book, "--config", settings, "--epochs", 1, "--json", "--out", directory)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["model"] == str(directory)
    assert report["steps"] == 25
    measured = metrics(directory)
    assert report["held_out_loss"] == measured[-1]["held_out_loss"]
    assert report["dev_loss"] == pytest.approx(min(line.get("dev_loss", 9) for line in measured), abs=1e-6)
    assert "The text has 200 HTML tags, which ghosts will have too. Unless you want that" in result.stderr
    assert "on, look like a licence. A model is measured by the end of its text" in result.stderr
    assert result.stderr.splitlines()[-1] == f"Type with it: charrepl --model '{directory}'"


def test_the_seed_preset_reports_every_epoch_and_samples_every_tenth(
    home: Path, tmp_path: Path, corpus: Path
) -> None:
    small = tmp_path / "small.toml"
    small.write_text("[model]\nlayers = 2\nhidden_size = 8\n")
    result = train(corpus, "--preset", "seed", "--config", small, "--epochs", 20, "--out", tmp_path / "seed")
    assert result.exit_code == 0, result.stderr
    assert "Held-out" not in result.stderr  # all of the text was trained on
    lines = metrics(tmp_path / "seed")
    assert [line["epoch"] for line in lines] == list(range(1, 21))
    assert [line["learning_rate"] for line in lines] == pytest.approx(
        [0.002 * 0.97 ** (epoch // 5) for epoch in range(20)], rel=1e-6
    )
    assert [line["epoch"] for line in lines if "sample" in line] == [10, 20]
    assert all(len(line["sample"]) == 200 for line in lines if "sample" in line)
    printed = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert len(printed) == 20
    for line, measured in zip(printed, lines, strict=True):
        assert f"loss {measured['loss']:.4f}  accuracy {measured['accuracy']:.2%}" in line
        assert f"learning rate {measured['learning_rate']:.3g}" in line
    assert loaded_model.load(tmp_path / "seed").step == 20


def test_a_name_that_is_taken_is_refused(whole: Path, corpus: Path, settings: Path) -> None:
    before = loaded_model.load(whole).digest
    line = one_line(train(corpus, "--name", "whole", "--config", settings))
    assert line == f"a model is already in {whole}: pass --resume to train it further, or --name to keep both"
    assert loaded_model.load(whole).digest == before


def test_a_place_is_free_where_a_run_ended_before_it_began(
    corpus: Path, settings: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "vocab.json").write_text("{}")
    (directory / "config.toml").write_text("[model]")
    command = [corpus, "--config", settings, "--epochs", 1, "--out", directory]
    assert one_line(train(*command, "--resume")).startswith("there is nothing to resume in")
    result = train(*command)
    assert result.exit_code == 0, result.stderr
    (directory / "run.json").unlink()
    for arguments in ([], ["--resume"]):
        assert "has files in it, but no run.json" in one_line(train(*command, *arguments))


def test_what_comes_to_nothing_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.toml").write_text("[training]\nbatch_size = 1\nsequence_length = 1\n")
    command = [corpus, "--config", tmp_path / "slow.toml", "--epochs", 1_000_000]
    line = one_line(train(*command, "--out", tmp_path / "run"))
    assert line.startswith("1,000,000 epochs are 1,5")
    fewer = int(line.removesuffix(" epochs at most").rsplit(maxsplit=1)[-1].replace(",", ""))
    assert 600_000 < fewer < 700_000
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    assert one_line(train(*command, "--out", tmp_path / "mine")) == line
    assert not list((tmp_path / "mine").iterdir())


def test_a_directory_with_somebodys_own_settings_is_not_free(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TINY)
    assert "has files in it" in one_line(train(corpus, "--out", tmp_path))
    assert (tmp_path / "config.toml").read_text() == TINY


def test_a_place_where_no_model_can_be_is_refused_for_what_it_is(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, complaint in (
        ("file", "is not a directory: choose another --name or --out"),
        ("file/below", "Not a directory: choose another place with --out"),
        ("x" * 300, "File name too long: give it a shorter name or choose another place with --out"),
    ):
        for more in ((), ("--resume",)):
            line = one_line(train(corpus, "--out", tmp_path / place, *more))
            assert line.endswith(complaint)
            assert "untouched" not in line


def test_a_device_that_fails_is_one_line_and_what_was_saved_stays(
    copy: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((copy / "checkpoints").iterdir())

    def fail(*arguments: object, **options: object) -> None:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 640000000000 bytes.")

    monkeypatch.setattr(loop, "update", fail)
    result = train(corpus, "--out", copy, "--resume", "--epochs", 30)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: the device is out of memory with hidden_size = 16 and batch_size = 4: train with a lower one "
        f"in a --config file, under another --name; what was saved before is kept in {copy}"
    )
    assert sorted((copy / "checkpoints").iterdir()) == before
    loaded_model.load(copy)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--name", "nothing", "--resume"], "there is nothing to resume in"),
        (["--encoding", "nonsense"], "'nonsense' is not a text encoding"),
        (["--name", "no/good"], "'no/good' cannot be a model's name"),
        (
            ["--name", "new", "--config", "missing.toml"],
            "cannot read missing.toml: No such file",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(home: Path, corpus: Path, arguments: list[str], complaint: str) -> None:
    assert one_line(train(corpus, *arguments)).startswith(complaint)


def test_a_corpus_that_cannot_be_used_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    missing, short = tmp_path / "missing.txt", tmp_path / "short.txt"
    short.write_text("x")
    assert one_line(train(missing)) == f"{missing} does not exist: name a text file"
    line = one_line(train(short, "--preset", "seed"))
    assert line.startswith(
        "the corpus has 1 characters, of which 1 are left to train on: sequence_length = 49"
    )
    assert not any((home / "data" / "models" / name).exists() for name in ("missing", "short"))


def test_a_misspelt_setting_is_one_line(start: Start, tmp_path: Path, corpus: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[training]\nlearning_rat = 0.1\n")
    code, _, err = finish(start(corpus, "--config", wrong, "--out", tmp_path / "run"))
    assert code == 1
    assert err == [f"Error: {wrong}: line 2: unknown setting 'learning_rat'; did you mean learning_rate?"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.txt", "--epochs", "0"],
        ["x.txt", "--epochs", "nan"],
        ["x.txt", "--minutes", "inf"],
        ["x.txt", "--epochs", "1", "--minutes", "1"],
        ["x.txt", "--preset", "none"],
        ["x.txt", "--nonsense"],
        ["-", "-"],
    ],
)
def test_wrong_usage_ends_with_2(home: Path, arguments: list[str]) -> None:
    assert train(*arguments).exit_code == 2


def test_help_needs_no_jax(home: Path) -> None:
    heavy = ["jax", "flax", "orbax", "optax", "numpy", "rich"]
    code = f"""if True:
        import sys
        from charrepl_train.cli import main
        try:
            main(["--help"])
        finally:
            assert not set({heavy}) & set(sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--resume" in done.stdout


def test_jax_without_a_device_is_one_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")
    code, _, err = finish(start(corpus, "--out", tmp_path / "run"))
    assert code == 1
    assert len(err) == 1
    assert err[0].startswith("Error: JAX found no device")
    assert err[0].endswith("set JAX_PLATFORMS=cpu to use the processor")


def test_a_text_whose_files_name_is_no_text_trains_like_any_other(
    home: Path, tmp_path: Path, settings: Path, corpus: Path
) -> None:
    named = tmp_path / "caf\udce9.txt"
    named.write_bytes(corpus.read_bytes())
    result = train(named, "--config", settings, "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    directory = home / "data" / "models" / "caf"
    assert run_file(directory)["corpus"] == ["caf\ufffd.txt"]
    assert run_file(directory)["finished"]
    refused = one_line(train(named, "--config", settings, "--out", tmp_path / "mod\udce9l"))
    assert refused.endswith("is not a UTF-8 name: choose another place with --out")
    assert not (tmp_path / "mod\udce9l").exists()
