"""`charrepl-train --dry-run`: what a run would be, without a trace of it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.charrepl_train.command import one_line, train


def test_a_dry_run_says_what_the_run_would_be_and_writes_nothing(
    home: Path, tmp_path: Path, settings: Path, corpus: Path
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("One line.\nA second one, with a \N{SECTION SIGN} in it.\n")
    before = sorted((home / "data" / "models").rglob("*"))
    command = [corpus, other, "--config", settings, "--epochs", 2, "--name", "mine", "--dry-run"]
    result = train(*command, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["files"] == 2
    assert found["characters"] == len(corpus.read_text()) + len(other.read_text())
    assert found["train"] + found["dev"] + found["held_out"] == found["characters"]
    rare = {"character": "\N{SECTION SIGN} (U+00A7)", "times": 1, "file": str(other), "line": 2}
    assert rare in found["rarest"]
    assert (found["layers"], found["hidden_size"], found["epochs"]) == (1, 16, 2)
    assert "with preset small, for a short text" in found["device_and_preset"]
    assert found["sizes"] == {"small": "1 x 128", "medium": "1 x 256", "large": "2 x 256"}
    measured = ("steps", "seconds", "characters_per_s", "model_bytes", "memory_bytes")
    assert all(found[name] > 0 for name in measured)
    assert sorted((home / "data" / "models").rglob("*")) == before


def test_a_dry_run_of_minutes_is_told_in_lines(tmp_path: Path, settings: Path, corpus: Path) -> None:
    result = train(corpus, "--config", settings, "--minutes", 1, "--out", tmp_path / "run", "--dry-run")
    assert result.exit_code == 0, result.stderr
    heads = [line.split()[0] for line in result.stdout.splitlines()]
    assert heads == ["Text", "Rarest", "Split", "Model", "Sizes", "Time", "Disk", "Memory", "Nothing"]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_is_refused_where_the_run_would_be(tmp_path: Path, settings: Path, corpus: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "run.json").write_text("{}")
    line = one_line(train(corpus, "--config", settings, "--out", taken, "--dry-run"))
    assert line.startswith(f"a model is already in {taken}: pass --resume")
    result = train(corpus, "--resume", "--dry-run")
    assert result.exit_code == 2
    assert "--dry-run is for a new run" in result.stderr
