"""Running `charrepl-train`, and reading what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from charrepl_train.cli import main

MAIN = "from charrepl_train.cli import main; main()"  # for a process of its own
CLOCK = {"elapsed_s", "characters_per_s"}


def train(*arguments: object) -> Result:
    """Runs `charrepl-train` in this process: no second start of jax where only the answer counts."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_line(result: Result) -> str:
    """What a command that failed says."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line.removeprefix("Error: ")


def metrics(directory: Path) -> list[dict]:
    """What was measured, but for what the clock says."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]


def run_file(directory: Path) -> dict:
    return json.loads((directory / "run.json").read_text())
