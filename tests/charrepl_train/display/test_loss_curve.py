"""The figure that a run leaves."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path

import pytest

from charrepl_train.display import loss_curve
from charrepl_train.model_directory import metrics_history


def evaluation(step: int, **more: float) -> dict[str, float]:
    return {"step": step, "epoch": step / 10, "loss": 100 / step, "learning_rate": 0.002, **more}


WHOLE = [evaluation(10, dev_loss=3.0), evaluation(20, dev_loss=2.0), evaluation(30, dev_loss=2.5)]


@pytest.fixture
def warnings() -> list[str]:
    return []


def write(directory: Path, lines: list[dict[str, float]], rest: str = "") -> None:
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + rest)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_run_is_drawn_the_same_every_time(tmp_path: Path, warnings: list[str]) -> None:
    write(tmp_path, [*WHOLE, {"step": 30, "held_out_loss": 2.25}])
    loss_curve.save(tmp_path, warn=warnings.append)
    first = [(tmp_path / name).read_bytes() for name in ("curve.png", "curve.svg")]
    width, height = struct.unpack(">II", first[0][16:24])
    assert (width, height) == (1280, 840)
    assert b"<svg" in first[1]
    assert b"<dc:date>" not in first[1]
    loss_curve.save(tmp_path, warn=warnings.append)
    assert first == [(tmp_path / name).read_bytes() for name in ("curve.png", "curve.svg")]
    assert names(tmp_path) == {"metrics.jsonl", "curve.png", "curve.svg"}
    assert not warnings


def test_the_figure_says_what_was_measured(tmp_path: Path) -> None:
    write(tmp_path, [*WHOLE, {"step": 30, "held_out_loss": 2.25}])
    losses, rates = loss_curve.draw(metrics_history.read(tmp_path)).axes
    assert losses.get_ylabel() == "loss (nats per character)"
    assert (rates.get_ylabel(), rates.get_xlabel()) == ("learning rate", "step")
    legend = losses.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "training loss",
        "dev loss, best 2.0000 at step 20",
        "held-out loss 2.2500",
    ]
    training, dev, _, held_out = losses.get_lines()
    assert list(training.get_xdata()) == [5, 15, 25]  # in the middle of what each is the mean of
    assert list(dev.get_ydata()) == [3.0, 2.0, 2.5]
    assert list(held_out.get_ydata()) == [2.25, 2.25]


@pytest.mark.parametrize("lines", [[evaluation(10)], [evaluation(s) for s in range(1, 200)], WHOLE[:1]])
def test_whatever_was_measured_is_drawn(
    tmp_path: Path, lines: list[dict[str, float]], warnings: list[str]
) -> None:
    write(tmp_path, lines, rest='{"step": 9')
    loss_curve.save(tmp_path, warn=warnings.append)
    assert names(tmp_path) == {"metrics.jsonl", "curve.png", "curve.svg"}
    assert not warnings


def test_nothing_measured_is_nothing_drawn(tmp_path: Path, warnings: list[str]) -> None:
    loss_curve.save(tmp_path, warn=warnings.append)
    write(tmp_path, [{"step": 3, "held_out_loss": 2.0}], rest="half a li")
    loss_curve.save(tmp_path, warn=warnings.append)
    assert names(tmp_path) == {"metrics.jsonl"}
    assert not warnings


def test_without_matplotlib_nothing_is_said(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, WHOLE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    loss_curve.save(tmp_path, warn=warnings.append)
    assert names(tmp_path) == {"metrics.jsonl"}
    assert not warnings


def test_a_figure_that_cannot_be_written_is_one_warning(tmp_path: Path, warnings: list[str]) -> None:
    write(tmp_path, WHOLE)
    (tmp_path / "curve.png").mkdir()
    loss_curve.save(tmp_path, warn=warnings.append)
    [warning] = warnings
    assert warning.startswith(f"No curve was drawn: could not write {tmp_path}/curve.png: ")


def test_the_settings_of_matplotlib_are_left_as_they_were(tmp_path: Path) -> None:
    import matplotlib

    write(tmp_path, WHOLE)
    with matplotlib.rc_context({"text.usetex": True, "figure.figsize": (1, 1)}):
        loss_curve.save(tmp_path, warn=pytest.fail)
        assert matplotlib.rcParams["text.usetex"]
        assert list(matplotlib.rcParams["figure.figsize"]) == [1, 1]
