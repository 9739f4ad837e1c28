"""Running `charrepl-train`, and reading what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from click.testing import CliRunner, Result

from charrepl_train.cli import main
from charrepl_train.run import resumed_run
from charrepl_train.run.loop import Trainer
from charrepl_train.run.run_options import RunOptions
from charrepl_train.text.corpus import read

MAIN = "from charrepl_train.cli import main; main()"  # for a process of its own
CLOCK = {"elapsed_s", "characters_per_s"}
TINY = """\
[model]
layers = 1
hidden_size = 16
[training]
batch_size = 4
sequence_length = 16
optimiser = "muon"
epochs = 24.0
evaluations = 6
sample_characters = 30
last_pass = false
"""
AS_BEGAN = RunOptions(None, None, None, None, None, None)

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@contextlib.contextmanager
def commands() -> Iterator[Start]:
    """Starts `charrepl-train` as processes of their own, none of which is left at the end."""
    started: list[Process] = []

    def start(*arguments: object, program: str = MAIN, **environment: str) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def finish(process: Process) -> tuple[int, str, list[str]]:
    """How it ended, what it wrote to standard output, and the lines it said.

    Those apart that a busy machine is told meanwhile.
    """
    out, err = process.communicate(timeout=180)
    return process.returncode, out, [line for line in err.splitlines() if not line.endswith(" so far")]


def go_on(directory: Path) -> Trainer:
    """The run of a fixture's trainer as another process would resume it, on the text beside its directory."""
    with read([directory.with_suffix(".txt")], near=directory) as text:
        return resumed_run.prepare(directory, text, AS_BEGAN).trainer


def until_measured(process: Process) -> None:
    """Returns once the first evaluation has been printed."""
    assert process.stderr is not None
    before = []
    for line in process.stderr:
        if line.startswith("epoch "):
            return
        before.append(line)
    raise AssertionError(f"it ended before it measured anything: {before}")


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
