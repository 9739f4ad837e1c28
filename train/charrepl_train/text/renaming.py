"""Batches in which some pieces of the text have other names, so that a model learns how names return.

A model that always reads about the same few people learns their names by heart, and cannot predict a new
name. With other names in each piece, it must look for them in what it has just read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError
from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text import invented_names, names
from charrepl_train.text.batching import Batches, Ids
from charrepl_train.text.names import LETTER
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary

_PIECE = 4096  # characters that have one set of names: about a scene
_FEWEST = 8, 0.005  # names that speak, and part of all words, from which on renaming is worth it
_INVENTED = 64, 8192  # names for each that there is, and at most


def batches(ids: Ids, vocabulary: Vocabulary, config: TrainingConfig) -> Batches:
    """The batches of a text, with names replaced if the settings say so and it has enough of them.

    Raises CharreplError if names are to be replaced in what is not read as streams.
    """
    streams = config.batching == "streams"
    if config.rename_names is True and not streams:
        raise CharreplError(
            'rename_names needs batching = "streams": leave one of the two out of the --config file'
        )
    if not config.rename_names or not config.rename_share or not streams:
        return Batches(ids, config)
    found = names.find(ids, vocabulary)
    few = found.speaking < _FEWEST[0] or found.part < _FEWEST[1]
    if not found.names or (few and config.rename_names == "auto"):
        return Batches(ids, config)
    number = min(_INVENTED[0] * len(found.names), _INVENTED[1])
    invented = invented_names.invent(found.names, number, seed=config.seed, but=found.words)
    return RenamedBatches(ids, config, Renamer(vocabulary, found.names, invented))


class Renamer:
    """Replaces the `names` of a text by `invented` ones, as `Romeo` and as `ROMEO`.

    Invented names with a character that the vocabulary lacks are not used.
    """

    def __init__(self, vocabulary: Vocabulary, names: Sequence[str], invented: Sequence[str]) -> None:
        self.names = len(names)
        self._vocabulary = vocabulary
        self._forms = {form: (name, form != name) for name in names for form in (name.upper(), name)}
        initials = "".join(sorted({re.escape(form[0]) for form in self._forms}))
        self._capitalised = re.compile(rf"(?<!{LETTER})[{initials}]{LETTER}+")
        both = [(vocabulary.ids(name), vocabulary.ids(name.upper())) for name in invented]
        self._invented = [forms for forms in both if (np.concatenate(forms) != UNKNOWN).all()]

    def __call__(self, ids: Ids, chance: np.random.Generator) -> Ids:
        """`ids` with a name drawn by `chance` for each name, and so of another length."""
        found = [
            (match.start(), match.end(), *self._forms[match[0]])
            for match in self._capitalised.finditer(self._vocabulary.decode(ids))
            if match[0] in self._forms
        ]
        old = list(dict.fromkeys(name for _, _, name, _ in found))[: len(self._invented)]
        drawn = chance.choice(len(self._invented), len(old), replace=False).tolist() if old else []
        new = {name: self._invented[which] for name, which in zip(old, drawn, strict=True)}
        parts, before = [], 0
        for start, end, name, capitals in found:
            if name in new:
                parts += [ids[before:start], new[name][capitals]]
                before = end
        return np.concatenate([*parts, ids[before:]])


class RenamedBatches(Batches):
    """Batches of streams that are read in pieces. A random part of them, `rename_share`, has other names.

    What a piece is depends on the step and the seed only. It begins where it would with the old names: a
    longer text loses its end, and a shorter one is read on. So the carry is zeroed where names change.
    """

    def __init__(self, ids: Ids, config: TrainingConfig, renamer: Renamer) -> None:
        super().__init__(ids, config)
        self._share = config.rename_share
        self._steps = max(1, _PIECE // config.sequence_length)
        self._renamer = renamer
        self.names = renamer.names
        self._ahead = ThreadPoolExecutor(1)  # the piece that comes next is ready by then
        self._pieces: dict[tuple[int, int, range], Future[dict[int, Ids]]] = {}

    def resets(self, step: int) -> NDArray[np.bool_]:
        """As for all batches, and where a piece with other names begins or ends."""
        resets = super().resets(step)
        epoch, place = divmod(step, self.steps_per_epoch)
        piece, within = divmod(place, self._steps)
        return (
            resets
            if within or not place
            else resets | self._chosen(epoch, piece) | self._chosen(epoch, piece - 1)
        )

    def __call__(self, step: int, rows: slice = slice(None)) -> NDArray[np.int32]:
        """The batch of a step, as for all batches, with the names that its pieces have."""
        window = super().__call__(step, rows)
        epoch, place = divmod(step, self.steps_per_epoch)
        piece, within = divmod(place, self._steps)
        own = range(*rows.indices(self.batch_size))
        here = epoch, piece, own
        last = (piece + 1) * self._steps >= self.steps_per_epoch
        following = (epoch + 1, 0, own) if last else (epoch, piece + 1, own)
        self._pieces = {
            key: self._pieces.get(key) or self._ahead.submit(self._renamed, *key) for key in (here, following)
        }
        for row, ids in self._pieces[here].result().items():
            start = within * self._time
            window[row - own.start] = ids[start : start + self._time + 1]
        return window

    def _chosen(self, epoch: int, piece: int) -> NDArray[np.bool_]:
        chance = np.random.default_rng((self._seed, epoch, piece))
        return chance.random(self.batch_size) < self._share

    def _renamed(self, epoch: int, piece: int, rows: range) -> dict[int, Ids]:
        """By row, what the streams with other names read in a piece, [steps x time + 1] at least."""
        chosen = self._chosen(epoch, piece)
        return {row: self._stretch(epoch, piece, row) for row in rows if chosen[row]}

    def _stretch(self, epoch: int, piece: int, row: int) -> Ids:
        length = self._steps * self._time + 1
        first = row * self._stream + piece * self._steps * self._time + self._offset(epoch)
        read = length
        while True:
            read += length // 8 + 1  # names may become shorter
            ids = self._ids[np.arange(first, first + read) % len(self._ids)]
            renamed = self._renamer(ids, np.random.default_rng((self._seed, epoch, piece, row)))
            if len(renamed) >= length:
                return renamed[:length]
