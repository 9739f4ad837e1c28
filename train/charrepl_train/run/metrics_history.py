"""What `metrics.jsonl` says of a run, read back."""

from __future__ import annotations

from pathlib import Path

import msgspec


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
