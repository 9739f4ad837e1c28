"""What a model has learnt, as a sample of hashes: enough to tell whether another text was part of it.

A hash is that of 32 letters and digits in a row, whatever stands between them and in whatever case, so
that other line breaks and punctuation make no difference. No text can be read from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from charrepl_train.text.batching import Ids
from charrepl_train.text.vocabulary import Vocabulary

FILE = "learnt.json"
_DOUBLINGS = 5  # of one letter: 32 in a row
_FACTOR = 0x9E3779B97F4A7C15  # odd, and its bits are those of a random number
_LIMIT = 2**24  # hashes of 32 bits below it are kept: one of 256...
_MOST = 65_536  # ...or ever fewer, so that there are no more than this
_BLOCK = 2**20  # characters at a time
_FEWEST = 8  # hashes of a text, by which one can tell
_SEEN = 0.05  # of a text: more than two texts of a kind have in common


class Fingerprint(msgspec.Struct, frozen=True):
    """The hashes below a limit of the texts that were learnt, sorted."""

    limit: int = _LIMIT
    hashes: bytes = b""  # uint32, little-endian

    def array(self) -> NDArray[np.uint32]:
        """The hashes."""
        return np.frombuffer(self.hashes, "<u4")

    def __or__(self, other: Fingerprint) -> Fingerprint:
        """That of both."""
        return _limited(np.union1d(self.array(), other.array()), min(self.limit, other.limit))

    def share_of(self, text: Fingerprint) -> float:
        """How much of another text is in this one; 0 if that is little, or too short to tell."""
        hashes = text.array()
        comparable = hashes[hashes < min(self.limit, text.limit)]
        if len(comparable) < _FEWEST:
            return 0.0
        share = float(np.isin(comparable, self.array()).mean())
        return share if share >= _SEEN else 0.0


def compute(texts: Iterable[Ids], vocabulary: Vocabulary) -> Fingerprint:
    """The fingerprint of some texts, each by itself."""
    letters = np.array([0, *map(_folded, vocabulary.characters)], np.uint64)
    found: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
    for text in texts:
        rest = np.zeros(0, np.uint64)
        for start in range(0, len(text), _BLOCK):
            codes = letters[text[start : start + _BLOCK]]
            rest = np.concatenate([rest, codes[codes != 0]])
            found.append(_hashes(rest))
            rest = rest[-(2**_DOUBLINGS - 1) :]
    return _limited(np.unique(np.concatenate(found)), _LIMIT)


def load(directory: Path) -> Fingerprint:
    """That of what the model in a directory has learnt; an empty one if nobody kept it."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=Fingerprint)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Fingerprint()


def encoded(fingerprint: Fingerprint) -> bytes:
    """What `learnt.json` holds."""
    return msgspec.json.encode(fingerprint)


def _folded(char: str) -> int:
    return ord(char.lower()[0]) if char.isalnum() else 0


def _hashes(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Of every 32 codes in a row, those hashes that are below the limit."""
    for half in (2**n for n in range(_DOUBLINGS)):
        codes = codes[:-half] * np.uint64(pow(_FACTOR, half, 2**64)) + codes[half:]
    mixed = codes ^ (codes >> np.uint64(29))
    mixed = (mixed * np.uint64(_FACTOR)) >> np.uint64(32)
    return mixed[mixed < _LIMIT].astype(np.uint32)


def _limited(hashes: NDArray[np.uint32], limit: int) -> Fingerprint:
    while np.searchsorted(hashes, limit) > _MOST:
        limit //= 2
    return Fingerprint(limit, hashes[: np.searchsorted(hashes, limit)].astype("<u4").tobytes())
