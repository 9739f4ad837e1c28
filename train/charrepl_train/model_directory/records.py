"""What a run says of itself: `run.json`, the lines of `metrics.jsonl`, and where it is between two lines."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from charrepl_train.text.split import Split


class Run(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a run is about, kept in `run.json` so that it can be resumed exactly."""

    corpus: list[str]  # file names, for the reader
    encoding: str = ""  # of the files, if another than UTF-8
    clean: list[str] = []  # the kinds of marks that were left out of them
    corpus_digest: str
    split: Split | None = None  # of the corpus; None if it began before it was kept
    layers_by: Literal["", "cudnn", "scan"] = ""  # what computes the layers; empty until a trial has decided
    total_steps: int  # 0 until `minutes` has been turned into steps
    minutes: float | None = None
    started_from: str = ""  # the directory of the model it began with, if it did not begin with nothing
    started_digest: str = ""  # names exactly its weights
    held_out_seen: float = 0.0  # how much of the held-out text that model has learnt, if more than a little
    loss_sum: float = 0.0  # of the steps since the last line of metrics, as of the latest checkpoint
    loss_steps: int = 0
    elapsed_s: float = 0.0  # as of the latest checkpoint too
    finished: bool = False
    completed_at: float = 0.0  # when it was last finished, in seconds since 1970; 0 for never


class Metrics(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of `metrics.jsonl`."""

    step: int
    epoch: float
    loss: float  # nats per character, mean since the line before
    accuracy: float  # of the last batch
    learning_rate: float
    elapsed_s: float
    characters_per_s: float
    dev_loss: float | None = None
    sample: str | None = None


class StepReport(NamedTuple):
    """Where a run is, between two lines of metrics."""

    step: int
    total: int
    loss: float
    characters_per_s: float
    left_s: float  # to the end, evaluations included
    steady: bool  # whether steps were timed for long enough to believe it
    measures: bool = False  # whether an evaluation comes next
