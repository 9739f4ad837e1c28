"""The ids of a text: splitting them, and cutting them into batches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError
from charrepl_train.hyperparameters import TrainingConfig

Ids = NDArray[np.integer]  # of any width: a corpus's are as narrow as its vocabulary allows

_DEV_LIMIT = 65_536  # characters: enough to choose by, and a few seconds to read
_HELD_OUT_LIMIT = 1_000_000

MOST_STEPS = 64  # a call


class Split(NamedTuple):
    """Where the three parts of a text are, in order: to train on, to choose by, and only to measure."""

    train: slice
    dev: slice
    held_out: slice


def split(characters: int, config: TrainingConfig) -> Split:
    """Cuts off the last `held_out` of a text, then the last `dev` of the rest (65,536 at most).

    Raises CharreplError if what remains to train on is shorter than one sequence.
    """
    kept = int(characters * (1 - config.held_out)) if config.held_out else characters
    dev = min(int(kept * config.dev), _DEV_LIMIT)
    dev = dev if dev >= 2 else 0
    train = kept - dev
    need = config.sequence_length + 1
    if train < need:
        raise CharreplError(
            f"the corpus has {characters} characters, of which {train} are left to train on: "
            f"sequence_length = {config.sequence_length} needs {need}; add text, or set a smaller "
            "sequence_length under [training] in a --config file"
        )
    measured = slice(kept, min(kept + _HELD_OUT_LIMIT, characters))
    return Split(slice(0, train), slice(train, kept), measured)


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


def in_streams(ids: Ids, streams: int) -> tuple[Ids, Ids, NDArray[np.float32]]:
    """A text cut into equal streams: inputs, targets and weights, [streams, time] each.

    Every target has weight 1 once; what pads the last streams has weight 0.
    """
    predictions = len(ids) - 1
    length = -(-predictions // streams)
    place = np.arange(streams)[:, None] * length + np.arange(length)
    weights = (place < predictions).astype(np.float32)
    place = np.minimum(place, predictions - 1)
    return ids[place], ids[place + 1], weights
