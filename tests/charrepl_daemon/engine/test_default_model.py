"""Which model answers where none is named, and what is said of those that cannot be loaded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl_daemon.engine import default_model
from charrepl_daemon.engine.default_model import DefaultModel


def trained(place: Path, name: str, at: int) -> Path:
    directory = place / "models" / name
    (directory / "checkpoints" / "best-00000001").mkdir(parents=True)
    (directory / "config.toml").touch()
    (directory / "run.json").write_text(json.dumps({"finished": True, "completed_at": at}))
    return directory


def test_the_newest_that_cannot_be_loaded_is_named_and_none_once_a_newer_one_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(default_model, "_KEPT_S", -1)

    for at, name in enumerate(("old", "new", "newest"), 1):
        trained(tmp_path, name, at)
    default = DefaultModel("")
    assert default.notice == DefaultModel("old").notice == ""
    for name in ("newest", "new"):
        assert default().name == name
        assert default.pass_over(default(), CharreplError(f"{name} is damaged", code="bad_model"))
    assert default().name == "old"
    assert default.notice == "newest cannot be loaded, so old answers: newest is damaged"
    trained(tmp_path, "another", 4)
    assert default().name == "another"
    assert default.notice == ""
    monkeypatch.setattr(default_model, "_SHORT_S", 0)
    assert not default.pass_over(default(), CharreplError("memory ran short", code="shortage"))  # tried again
    monkeypatch.setattr(default_model, "_SHORT_S", 60)
    assert default.pass_over(default(), CharreplError("memory ran short", code="shortage"))
    assert default().name == "old"


def test_a_model_whose_disk_does_not_answer_is_the_default_only_once_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(default_model, "_KEPT_S", -1)
    monkeypatch.setattr(default_model, "_DEAD_S", 1)
    monkeypatch.setattr(default_model, "_ANOTHER_S", 20)
    far, _ = trained(tmp_path, "far", 2), trained(tmp_path, "near", 1)
    answers, usable = tmp_path / "answers", model_names.is_usable
    os.mkfifo(answers)

    def from_afar(directory: Path) -> bool:
        if directory == far:
            answers.read_bytes()
        return usable(directory)

    monkeypatch.setattr(model_names, "is_usable", from_afar)
    default = DefaultModel("")
    assert default().name == "near"
    assert default.notice.startswith("near answers: far cannot be read: ")
    monkeypatch.setattr(model_names, "is_usable", usable)
    with answers.open("w"):  # whoever reads it goes on
        pass
    while default().name != "far":
        pass
    assert default.notice == ""


def test_a_default_that_does_not_come_when_it_is_loaded_is_passed_over_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    far, _ = trained(tmp_path, "far", 2), trained(tmp_path, "near", 1)
    default = DefaultModel("")
    assert default.pass_over(far, CharreplError("far cannot be read", code="busy"))
    assert default().name == "near"
    assert default.notice == "far cannot be loaded, so near answers: far cannot be read"
