"""`--preset auto`: a short English text is tried from nothing and from the model that comes along."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charrepl.system import paths
from charrepl_train.run import trial
from charrepl_train.run.interruption import EndedError, Interruption
from charrepl_train.run.loop import Trainer
from charrepl_train.run.run_options import RunOptions
from charrepl_train.text.corpus import Text, read
from tests.charrepl_train.command import metrics, run_file, train

SETTINGS = """\
[training]
batch_size = 4
sequence_length = 16
epochs = 1.0
evaluations = 4
sample_characters = 0
last_pass = false
precision = "f32"
"""
AUTO = RunOptions("auto", None, None, None, None, None)


@pytest.fixture(scope="module")
def settings(home: Path) -> Path:
    path = home / "settings.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture
def text(corpus: Path, tmp_path: Path) -> Iterator[Text]:
    with read([corpus], near=tmp_path) as text:
        yield text


@pytest.fixture
def bundled(home: Path) -> Iterator[Path]:
    """Where a model is found by the name of the one that comes along, before that one."""
    place = paths.models_dir() / "shakespeare"
    yield place
    shutil.rmtree(place)


def tried(corpus: Path, settings: Path, out: Path) -> str:
    result = train(corpus, "--preset", "auto", "--config", settings, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert not (out / "trial").exists()
    assert run_file(out)["finished"]
    return " ".join(result.stderr.split())


def test_a_model_that_knows_such_text_is_what_a_run_goes_on_from(
    bundled: Path, corpus: Path, settings: Path, trained: Trainer, tmp_path: Path
) -> None:
    shutil.copytree(trained.directory, bundled)
    said = tried(corpus, settings, tmp_path / "run")
    assert ": it goes on from shakespeare. " in said
    assert " with preset finetune, for weights to start from, from shakespeare: 1 x 24, " in said
    assert run_file(tmp_path / "run")["started_from"] == str(bundled)


def test_a_model_that_knows_nothing_is_not(
    bundled: Path, corpus: Path, settings: Path, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    base = make_trainer(bundled, "Zyx wvu! " * 200, epochs=0.05, learning_rate=1e-4)
    assert [*base.train()]
    said = tried(corpus, settings, tmp_path / "run")
    assert ": it goes on from nothing." in said
    assert "--from shakespeare" not in said
    assert " with preset small, for a short text: 1 x 256, " in said
    assert run_file(tmp_path / "run")["started_from"] == ""


def test_what_goes_on_is_the_run_that_nobody_tried(
    bundled: Path,
    corpus: Path,
    settings: Path,
    text: Text,
    trained: Trainer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    shutil.copytree(trained.directory, bundled)
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(corpus, "--from", "shakespeare", "--config", settings, "--out", whole).exit_code == 0
    monkeypatch.setattr(trial, "_TRIAL_S", 2.0)
    ticks = itertools.count()
    prepared = trial.better(
        run,
        (corpus,),
        text,
        AUTO._replace(config_file=settings),
        started=0.0,
        clock=lambda: next(ticks) / 10,
        stopped=Interruption(),
        begins=lambda what: None,
    )
    assert 0 < int(prepared.trainer.state["step"]) < prepared.trainer.run.total_steps
    assert prepared.remarks[0].startswith("After 2 s each, dev loss is ")
    # Another process goes on with it.
    command = [corpus, "--preset", "auto", "--config", settings, "--out", run, "--resume"]
    assert train(*command).exit_code == 0
    assert metrics(run) == metrics(whole)


def test_stopped_meanwhile_nothing_is_left(
    bundled: Path, corpus: Path, settings: Path, text: Text, trained: Trainer, tmp_path: Path
) -> None:
    shutil.copytree(trained.directory, bundled)
    run = tmp_path / "run"

    def begins(what: str) -> None:
        if "shakespeare" in what:
            os.kill(os.getpid(), signal.SIGTERM)

    with Interruption() as stopped, pytest.raises(EndedError):
        trial.better(
            run,
            (corpus,),
            text,
            AUTO._replace(config_file=settings),
            started=0.0,
            clock=time.monotonic,
            stopped=stopped,
            begins=begins,
        )
    assert [*run.iterdir()] == []


def test_only_a_choice_that_is_open_is_tried(text: Text, tmp_path: Path) -> None:
    assert trial.wanted(AUTO, text)
    own = tmp_path / "own.toml"
    for settings in ("[model]\nlayers = 1\n", "[training]\ndev = 0.0\n"):
        own.write_text(settings)
        assert not trial.wanted(AUTO._replace(config_file=own), text)
    for closed in ({"preset": None}, {"preset": "small"}, {"base": "shakespeare"}, {"size": "small"}):
        assert not trial.wanted(AUTO._replace(**closed), text)
    german = tmp_path / "german.txt"
    german.write_text("Das ist nicht das Ende, und du musst damit weitermachen.\n" * 40)
    with read([german], near=tmp_path) as text:
        assert not trial.wanted(AUTO, text)
