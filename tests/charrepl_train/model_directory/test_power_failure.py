"""What a power failure costs: checkpoints are made every few minutes, and reach the disk."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from charrepl.files import fsync
from charrepl_train.model_directory import checkpoint
from charrepl_train.run.loop import Trainer
from tests.charrepl_train.command import Start, finish, go_on

TEXT = "a lamp is lit, and then another lamp is lit.\n" * 60


class PowerFailureError(Exception):
    pass


@pytest.mark.usefixtures("home")
def test_a_run_is_saved_every_few_minutes_whatever_is_evaluated(
    tmp_path: Path, make_trainer: Callable[..., Trainer]
) -> None:
    trainer = make_trainer(tmp_path / "run", TEXT, evaluations=1, sample_characters=0)
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    shutil.copy(tmp_path / "run.txt", tmp_path / "whole.txt")
    seconds = itertools.count(0.0, 40.0)

    def fail() -> bool:
        if int(trainer.state["step"]) == 10:
            raise PowerFailureError
        return False

    with pytest.raises(PowerFailureError):
        list(trainer.train(interrupted=fail, clock=lambda: next(seconds)))
    assert not checkpoint.exists(tmp_path / "run", "best")  # nothing was evaluated
    ends = []
    for directory in (tmp_path / "run", tmp_path / "whole"):
        trainer = go_on(directory)
        ends.append((int(trainer.state["step"]), trainer))
        list(trainer.train())
    assert [0 < step < 10 for step, _ in ends] == [True, False]
    jax.tree.map(np.testing.assert_array_equal, *(trainer.state["params"] for _, trainer in ends))


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    to_disk = fsync.path_to_disk

    def record(path: Path) -> None:
        synced.append(path)
        to_disk(path)

    monkeypatch.setattr(fsync, "path_to_disk", record)
    checkpoint.save(tmp_path, "latest", 7, {"w": np.ones(3, np.float32)})
    made, new = (tmp_path / "checkpoints" / f"latest-00000007{end}" for end in ("", ".new"))
    assert {new / path.relative_to(made) for path in made.rglob("*")} <= set(synced)
    assert synced.index(new) < synced.index(made.parent)


def test_a_quiet_run_says_nothing_but_what_is_asked_for(
    start: Start, tmp_path: Path, settings: Path, corpus: Path
) -> None:
    quietly = ["--quiet", "--json", "--threads", 1, "--epochs", 1]
    code, out, err = finish(start(corpus, "--config", settings, *quietly, "--out", tmp_path / "run"))
    assert (code, err) == (0, [])
    assert out.startswith('{"model":')
