"""The ids of a text, cut into batches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrepl_train.hyperparameters import TrainingConfig

Ids = NDArray[np.integer]  # of any width: a corpus's are as narrow as its vocabulary allows

MOST_STEPS = 64  # a call


class Steps(NamedTuple):
    """What some training steps read: the first `number` of `MOST_STEPS` windows."""

    windows: NDArray[np.int32]  # [steps, batch, time + 1]: inputs, and one character further the targets
    resets: NDArray[np.bool_]  # [steps, batch]: whether a stream's carry is zeroed first
    number: int


class Batches:
    """The training text as batches, by step number.

    A step's batch is a pure function of the step and the seed, so that a resumed run reads on
    exactly where it stopped.
    """

    names = 0  # that are replaced in some of it

    def __init__(self, ids: Ids, config: TrainingConfig) -> None:
        self._ids = ids
        self._time = config.sequence_length
        self._seed = config.seed
        self._random_offsets = config.random_offsets
        self._reset_every = config.reset_every
        self.stateful = config.batching == "streams"
        if self.stateful:
            self.batch_size = min(config.batch_size, (len(ids) - 1) // self._time)
            self._stream = (len(ids) - 1) // self.batch_size
            self.steps_per_epoch = self._stream // self._time
        else:
            chunks = len(ids) // (self._time + 1)
            self.batch_size = min(config.batch_size, chunks)
            self.steps_per_epoch = chunks // self.batch_size

    def resets(self, step: int) -> NDArray[np.bool_]:
        """Bool [batch]: which streams' carries are zeroed before this step.

        All of them where an epoch starts, and each by chance every `reset_every` characters: a carry that is
        only ever handed on comes to lie where no carry of a new text does.
        """
        if not self.stateful or step % self.steps_per_epoch == 0:
            return np.ones(self.batch_size, np.bool_)
        if not self._reset_every:
            return np.zeros(self.batch_size, np.bool_)
        chances = np.random.default_rng((self._seed, step)).random(self.batch_size)
        return chances < self._time / self._reset_every

    def __call__(self, step: int, rows: slice = slice(None)) -> NDArray[np.int32]:
        """The batch of a step, [batch, time + 1]: inputs, and one character further the targets.

        Only some `rows` of it, if so asked.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        if self.stateful:
            starts = np.arange(self.batch_size) * self._stream + place * self._time + self._offset(epoch)
        else:
            first = place * self.batch_size
            starts = np.arange(first, first + self.batch_size) * (self._time + 1)
        place_in_text = (starts[rows, None] + np.arange(self._time + 1)) % len(self._ids)
        return self._ids[place_in_text].astype(np.int32)

    def many(self, step: int, steps: int, rows: range | None = None) -> Steps:
        """The batches of some steps from `step` on.

        Only some `rows` of each, if so asked; those that no batch has are zeros.
        """
        own = slice(0, self.batch_size) if rows is None else slice(rows.start, rows.stop)
        windows = np.zeros((MOST_STEPS, own.stop - own.start, self._time + 1), np.int32)
        resets = np.zeros(windows.shape[:2], np.bool_)
        for n in range(steps):
            window = self(step + n, own)
            windows[n, : len(window)] = window
            resets[n, : len(window)] = self.resets(step + n)[own]
        return Steps(windows, resets, steps)

    def _offset(self, epoch: int) -> int:
        # The text is read as a ring, from another place each epoch: what starts a stream, or a
        # sequence, or is left over at the end of one, is never the same twice.
        if not self._random_offsets:
            return 0
        return int(np.random.default_rng((self._seed, epoch)).integers(len(self._ids)))
