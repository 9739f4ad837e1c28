"""When a run reports and evaluates, and how long that takes."""

from __future__ import annotations

import bisect

from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.optimisation import evaluate
from charrepl_train.text.batching import MOST_STEPS, Batches
from charrepl_train.text.corpus import Corpus

UNDECIDED = 2**30  # steps, until --minutes has become a number of them; no run has as many
_READING = 1 / 2  # of the time to learn from a text
_READINGS = 2  # of the held-out text: in one pass, and in windows
_EVALUATING = 0.1  # of a run's time at most


class Schedule:
    """A pure function of settings, text and the run's number of steps: a resumed run has the same one."""

    def __init__(self, config: TrainingConfig, corpus: Corpus, batches: Batches) -> None:
        self._config = config
        self._steps_per_epoch = batches.steps_per_epoch
        self._step_reads = batches.batch_size * config.sequence_length
        self._evaluation_reads = evaluate.dev_reads(corpus.dev, calibrate=config.calibrate)
        self._end_reads = _READINGS * len(corpus.held_out)
        if config.last_pass:
            self._end_reads += int((len(corpus.dev) + len(corpus.held_out)) / _READING)

    def until_due(self, step: int, total: int) -> int:
        """How many steps of `total` there are until something is reported, `MOST_STEPS` at most."""
        most = min(MOST_STEPS, total - step)
        return next((n for n in range(1, most) if self.due(step + n, total)), most)

    def due(self, step: int, total: int) -> bool:
        """Whether something is reported after this step."""
        if step == total or self.evaluates(step, total):
            return True
        if self._config.evaluations:
            return False
        return step % self._steps_per_epoch == 0

    def evaluates(self, step: int, total: int) -> bool:
        """Whether the dev slice is read after this step."""
        return step == total or step % self._interval(total) == 0

    def left_s(self, step: int, total: int, step_s: float) -> float:
        """How long the rest of a run takes, evaluations included, if a step takes `step_s`."""
        evaluations = -(-(total - step) // self._interval(total))
        read = evaluations * self._evaluation_reads + self._end_reads
        return step_s * (total - step + _READING * read / self._step_reads)

    def total_within(self, seconds: float, step: int, step_s: float) -> int:
        """The total number of steps of a run that goes on for so long after `step`: at least one more."""
        totals = range(step + 1, min(step + 2 + int(seconds / step_s), UNDECIDED))
        return step + max(1, bisect.bisect(totals, seconds, key=lambda t: self.left_s(step, t, step_s)))

    def _interval(self, total: int) -> int:
        """Steps between two evaluations."""
        if self._config.sample_epochs:
            return max(1, round(self._config.sample_epochs * self._steps_per_epoch))
        reading = _READING * max(self._evaluation_reads, 1)
        most = int(_EVALUATING * total * self._step_reads / reading)
        return max(1, total // max(1, min(self._config.evaluations, most)))
