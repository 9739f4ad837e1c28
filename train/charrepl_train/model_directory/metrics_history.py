"""What `metrics.jsonl` says of a run, read back."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from charrepl.files import whole_file


class Record(msgspec.Struct, kw_only=True):
    """One line: an evaluation, or the held-out loss at the end of a run. Losses are nats per character."""

    step: int
    epoch: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    learning_rate: float | None = None
    elapsed_s: float | None = None
    characters_per_s: float | None = None
    dev_loss: float | None = None
    sample: str | None = None
    held_out_loss: float | None = None


def read(directory: Path) -> list[Record]:
    """The lines of a model's `metrics.jsonl` in order; none if there is no such file.

    A line that cannot be read is left out: a crash may have left half of one.
    """
    try:
        lines = (directory / "metrics.jsonl").read_bytes().splitlines()
    except OSError:
        return []
    records = []
    for line in lines:
        try:
            records.append(msgspec.json.decode(line, type=Record))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return records


def trim(directory: Path, step: int) -> None:
    """Leaves out the lines after a step: a run that goes on from there takes the steps after it again.

    A crash or a full disk may also have left half a line.
    """
    path = directory / "metrics.jsonl"
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _step(line) <= step]
        if kept != lines:
            whole_file.write(path, b"".join(kept))


class _Place(msgspec.Struct):
    step: float


def _step(line: bytes) -> float:
    try:
        return msgspec.json.decode(line, type=_Place).step
    except (msgspec.DecodeError, UnicodeDecodeError):
        return math.inf
