"""`charrepl stats`: keys saved by program and day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from charrepl.cli.main import main

COUNTS = {
    "2026-11-28": {"zsh": {"shown": 9, "taken": 4, "characters": 1210, "keys": 10}},
    "2026-11-29": {
        "python": {"shown": 3, "taken": 1, "characters": 12, "keys": 2},
        "zsh": {"shown": 1},
    },
}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    return tmp_path


def stats(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["stats", *arguments])


def test_before_the_first_ghost_it_says_so() -> None:
    assert stats().stdout.startswith("no ghosts yet: type in charrepl")
    assert json.loads(stats("--json").stdout) == {"since": None, "hosts": {}, "days": {}}


def test_a_table_of_hosts_and_of_the_last_days(data: Path) -> None:
    (data / "keys-saved.json").write_text(json.dumps(COUNTS))
    assert stats("--days", "1").stdout.splitlines() == [
        "since 2026-11-28  ghosts  taken  characters  keys saved",
        "zsh                   10      4       1,210       1,200",
        "python                 3      1          12          10",
        "all                   13      5       1,222       1,210",
        "",
        "2026-11-29",
        "python                 3      1          12          10",
        "zsh                    1      0           0           0",
    ]


def test_the_same_for_a_program(data: Path) -> None:
    (data / "keys-saved.json").write_text(json.dumps(COUNTS))
    said = json.loads(stats("--json").stdout)
    assert said["since"] == "2026-11-28"
    assert said["hosts"]["zsh"] == {"shown": 10, "taken": 4, "characters": 1210, "keys": 10, "saved": 1200}
    assert list(said["days"]) == list(COUNTS)
    assert said["days"]["2026-11-29"]["python"]["saved"] == 10
