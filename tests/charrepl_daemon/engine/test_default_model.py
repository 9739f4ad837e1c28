"""Which model answers where none is named, and what is said of those that cannot be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl_daemon.engine import default_model
from charrepl_daemon.engine.default_model import DefaultModel


def test_the_newest_that_cannot_be_loaded_is_named_and_none_once_a_newer_one_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(default_model, "_KEPT_S", -1)

    def trained(name: str, at: int) -> Path:
        directory = tmp_path / "models" / name
        (directory / "checkpoints" / "best-00000001").mkdir(parents=True)
        (directory / "config.toml").touch()
        (directory / "run.json").write_text(json.dumps({"finished": True, "completed_at": at}))
        return directory

    for at, name in enumerate(("old", "new", "newest"), 1):
        trained(name, at)
    default = DefaultModel("")
    assert default.notice == DefaultModel("old").notice == ""
    for name in ("newest", "new"):
        assert default().name == name
        assert default.pass_over(default(), CharreplError(f"{name} is damaged", code="bad_model"))
    assert default().name == "old"
    assert default.notice == "newest cannot be loaded, so old answers: newest is damaged"
    trained("another", 4)
    assert default().name == "another"
    assert default.notice == ""
    monkeypatch.setattr(default_model, "_SHORT_S", 0)
    assert not default.pass_over(default(), CharreplError("memory ran short", code="shortage"))  # tried again
    monkeypatch.setattr(default_model, "_SHORT_S", 60)
    assert default.pass_over(default(), CharreplError("memory ran short", code="shortage"))
    assert default().name == "old"
