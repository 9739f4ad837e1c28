"""What TensorBoard reads of a run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from charrepl_train.display.tensorboard import TensorBoardEvents


def evaluation(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": step / 10,
        "loss": 100 / step,
        "accuracy": 0.5,
        "learning_rate": 0.25,
        "elapsed_s": 2.0 * step,
        "characters_per_s": 4096.0,
        "dev_loss": 200 / step,
        "sample": f"*step*\n  {step}",
    }


def log(directory: Path, *lines: dict[str, Any]) -> None:
    with (directory / "metrics.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def read(directory: Path) -> EventAccumulator:
    return EventAccumulator(str(directory / "tensorboard")).Reload()


def steps(directory: Path, tag: str) -> list[int]:
    return [event.step for event in read(directory).Scalars(tag)]


def test_every_evaluation_is_read_back(tmp_path: Path) -> None:
    events = TensorBoardEvents(tmp_path, warn=pytest.fail)
    log(tmp_path, evaluation(10))
    events.update()
    log(tmp_path, evaluation(20))
    events.update()
    log(tmp_path, {"step": 20, "held_out_loss": 2.5})
    events.update()
    found = read(tmp_path)
    assert sorted(found.Tags()["scalars"]) == [
        "accuracy",
        "characters_per_s",
        "learning_rate",
        "loss/dev",
        "loss/held_out",
        "loss/training",
    ]
    assert [(e.step, e.value) for e in found.Scalars("loss/training")] == [(10, 10), (20, 5)]
    assert [(e.step, e.value) for e in found.Scalars("loss/dev")] == [(10, 20), (20, 10)]
    assert [(e.step, e.value) for e in found.Scalars("loss/held_out")] == [(20, 2.5)]
    sample = found.Tensors("sample")[-1].tensor_proto.string_val[0].decode()
    assert sample == "    *step*\n      20"


def test_the_times_are_those_of_training(tmp_path: Path) -> None:
    log(tmp_path, evaluation(10), evaluation(25))
    TensorBoardEvents(tmp_path, warn=pytest.fail).update()
    first, last = (event.wall_time for event in read(tmp_path).Scalars("accuracy"))
    assert last - first == pytest.approx(30)


def test_a_resumed_run_shows_no_step_twice(tmp_path: Path) -> None:
    log(tmp_path, evaluation(10), evaluation(20), evaluation(30))
    TensorBoardEvents(tmp_path, warn=pytest.fail).update()
    theirs = tmp_path / "tensorboard" / "events.out.tfevents.1.another"
    theirs.touch()
    (tmp_path / "metrics.jsonl").write_text("")  # the checkpoint was of step 20: 30 is taken again
    log(tmp_path, evaluation(10), evaluation(20))
    events = TensorBoardEvents(tmp_path, warn=pytest.fail)
    log(tmp_path, evaluation(30))
    events.update()
    log(tmp_path, evaluation(40))
    events.update()
    assert steps(tmp_path, "accuracy") == [10, 20, 30, 40]
    assert theirs.exists()


def test_one_that_looks_on_while_a_run_is_resumed_sees_no_step_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(tmp_path, evaluation(10), evaluation(20))
    TensorBoardEvents(tmp_path, warn=pytest.fail).update()
    onlooker = read(tmp_path)
    log(tmp_path, evaluation(30))
    monkeypatch.setattr("time.time", lambda: 9_000_000_000.0)  # later, so the file has another name
    TensorBoardEvents(tmp_path, warn=pytest.fail).update()
    assert [e.step for e in onlooker.Reload().Scalars("accuracy")] == [10, 20, 30]
    monkeypatch.setattr("time.time", lambda: 9_000_000_100.0)
    TensorBoardEvents(tmp_path, warn=pytest.fail).update()
    assert [e.step for e in onlooker.Reload().Scalars("accuracy")] == [10, 20, 30]
    sizes = [path.stat().st_size for path in sorted((tmp_path / "tensorboard").iterdir())]
    assert len(sizes) == 2
    assert sizes[0] == 0


def test_without_tensorboard_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    log(tmp_path, evaluation(10))
    TensorBoardEvents(tmp_path, warn=pytest.fail).update()
    assert not (tmp_path / "tensorboard").exists()


def test_events_that_cannot_be_written_are_one_warning(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")
    warnings: list[str] = []
    events = TensorBoardEvents(tmp_path, warn=warnings.append)
    for step in (10, 20):
        log(tmp_path, evaluation(step))
        events.update()
    assert warnings == ["No more events are written for TensorBoard: File exists"]
