"""The ids of a text: splitting them, and cutting them into batches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError
from charrepl_train.config import TrainingConfig

Ids = NDArray[np.integer]  # of any width: a corpus's are as narrow as its vocabulary allows

_DEV_LIMIT = 65_536  # characters: enough to choose by, and a few seconds to read
_HELD_OUT_LIMIT = 1_000_000


class Split(NamedTuple):
    """Where the three parts of a text are, in order: trained on, chosen by, only measured."""

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


class Batches:
    """The training text as batches of (inputs, targets), int32 [batch, time] each, by step number.

    A step's batch is a pure function of the step and the seed, so that a resumed run reads on
    exactly where it stopped.
    """

    def __init__(self, ids: Ids, config: TrainingConfig) -> None:
        self._ids = ids
        self._time = config.sequence_length
        self._seed = config.seed
        self.stateful = config.batching == "streams"
        if self.stateful:
            self.batch_size = min(config.batch_size, (len(ids) - 1) // self._time)
            self._stream = (len(ids) - 1) // self.batch_size
            self.steps_per_epoch = self._stream // self._time
        else:
            chunks = len(ids) // (self._time + 1)
            self.batch_size = min(config.batch_size, chunks)
            self.steps_per_epoch = chunks // self.batch_size

    def starts_epoch(self, step: int) -> bool:
        """Whether the carry is zeroed before this step."""
        return not self.stateful or step % self.steps_per_epoch == 0

    def __call__(self, step: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The batch of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self.stateful:
            starts = np.arange(self.batch_size) * self._stream + place * self._time + self._offset(epoch)
        else:
            first = place * self.batch_size
            starts = np.arange(first, first + self.batch_size) * (self._time + 1)
        window = self._ids[starts[:, None] + np.arange(self._time + 1)].astype(np.int32)
        return window[:, :-1], window[:, 1:]

    def _offset(self, epoch: int) -> int:
        # What a stream does not fill is skipped at its start, differently each epoch, so that the
        # carry's cut and the sequence boundaries do not always fall on the same characters.
        slack = self._stream - self.steps_per_epoch * self._time
        return int(np.random.default_rng((self._seed, epoch)).integers(slack + 1))


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
