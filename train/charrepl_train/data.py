"""Text: reading it, splitting it, and cutting it into batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError, reason
from charrepl_train.config import TrainingConfig

Ids = NDArray[np.int32]

_DEV_LIMIT = 65_536  # characters: enough to choose by, and a few seconds to read
_HELD_OUT_LIMIT = 1_000_000


def read_corpus(paths: Sequence[Path]) -> str:
    """The text of all files, one after the other, with Unix line ends.

    Raises CharreplError if one is missing, not a readable file, empty, binary or not UTF-8.
    """
    texts = [_read(path) for path in paths]
    ended = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return "".join([*ended, texts[-1]])


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CharreplError(f"{path} does not exist: name a UTF-8 text file") from None
    except IsADirectoryError:
        raise CharreplError(f"{path} is a directory: name the text files in it, as in {path}/*.txt") from None
    except OSError as error:
        raise CharreplError(f"cannot read {path}: {reason(error)}") from None
    if not data:
        raise CharreplError(f"{path} is empty: name a text file with something in it")
    nul = data.find(b"\0")
    if nul >= 0:
        raise CharreplError(f"{path} has a NUL byte at offset {nul}: it is not text, or not UTF-8")
    try:
        text = data.decode().removeprefix("\ufeff")  # utf-8-sig would count an error's offset from there
    except UnicodeDecodeError as error:
        raise CharreplError(
            f"{path} is not UTF-8 at byte {error.start}: convert it, as in "
            f"iconv -f latin1 -t utf-8 {path} > corpus.txt"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def digest(text: str) -> str:
    """A name for exactly this text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Split(NamedTuple):
    """A text in three parts, in order: trained on, chosen by, only measured."""

    train: str
    dev: str
    held_out: str


def split(text: str, config: TrainingConfig) -> Split:
    """Cuts off the last `held_out` of the text, then the last `dev` of the rest (65,536 at most).

    Raises CharreplError if what remains to train on is shorter than one sequence.
    """
    kept = int(len(text) * (1 - config.held_out)) if config.held_out else len(text)
    dev = min(int(kept * config.dev), _DEV_LIMIT)
    dev = dev if dev >= 2 else 0
    parts = Split(text[: kept - dev], text[kept - dev : kept], text[kept : kept + _HELD_OUT_LIMIT])
    need = config.sequence_length + 1
    if len(parts.train) < need:
        raise CharreplError(
            f"the corpus has {len(text)} characters, of which {len(parts.train)} are left to train on: "
            f"sequence_length = {config.sequence_length} needs {need}; add text, or set a smaller "
            "sequence_length under [training] in a --config file"
        )
    return parts


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

    def __call__(self, step: int) -> tuple[Ids, Ids]:
        """The batch of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self.stateful:
            starts = np.arange(self.batch_size) * self._stream + place * self._time + self._offset(epoch)
        else:
            first = place * self.batch_size
            starts = np.arange(first, first + self.batch_size) * (self._time + 1)
        window = self._ids[starts[:, None] + np.arange(self._time + 1)]
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
