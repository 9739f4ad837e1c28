"""Characters to ids and back."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError, reason

UNKNOWN = 0
REPLACEMENT = "�"


class Vocabulary:
    """The characters a model knows, in order of code point; id 0 stands for every other.

    The newline is always known: every window starts after an implicit one.
    """

    def __init__(self, characters: str) -> None:
        self.characters = "".join(sorted(set(characters) | {"\n"}))
        self._code_points = _code_points(self.characters)
        self._strings = np.array([REPLACEMENT, *self.characters])

    def __len__(self) -> int:
        """The number of ids, the unknown included."""
        return len(self.characters) + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and other.characters == self.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    @property
    def newline(self) -> int:
        """The id of the newline."""
        return int(self.encode("\n")[0])

    def encode(self, text: str) -> NDArray[np.int32]:
        """int32 [characters]: the ids of `text`, `UNKNOWN` for a character not in the vocabulary."""
        code_points = _code_points(text)
        place = np.searchsorted(self._code_points, code_points)
        place[place == len(self._code_points)] = 0
        known = self._code_points[place] == code_points
        return np.where(known, place + 1, UNKNOWN).astype(np.int32)

    def table(self) -> NDArray[np.unsignedinteger]:
        """Unsigned [0x110000], of the narrowest type: the id of every code point; for long texts."""
        ids = np.zeros(sys.maxunicode + 1, np.min_scalar_type(len(self) - 1))
        ids[self._code_points] = np.arange(1, len(self))
        return ids

    def decode(self, ids: NDArray[np.integer]) -> str:
        """The text of `ids`; U+FFFD for the unknown."""
        return "".join(self._strings[np.asarray(ids)].tolist())

    def mask(self, characters: str) -> NDArray[np.bool_]:
        """Bool [vocabulary]: which ids stand for one of `characters`."""
        return np.isin(self._strings, list(characters)) & (np.arange(len(self)) != UNKNOWN)

    def visible(self) -> NDArray[np.bool_]:
        """Bool [vocabulary]: which ids leave a mark on the screen."""
        return np.array([not char.isspace() for char in self._strings.tolist()])

    def encoded(self) -> bytes:
        """What `vocab.json` holds: `{"characters": "..."}`."""
        return msgspec.json.encode({"characters": self.characters})

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """The vocabulary in a file. Raises CharreplError if it is missing or not one."""
        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=_File).characters)
        except OSError as error:
            raise CharreplError(f"cannot read {path}: {reason(error)}; is this a charrepl model?") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CharreplError(
                f"{path} is not a vocabulary ({error}): train or copy the model again"
            ) from None

    @classmethod
    def of(cls, counts: NDArray[np.integer], *, max_characters: int) -> Vocabulary:
        """The `max_characters` most frequent characters; ties go to the lower code point.

        counts: [code points], how often each occurs.
        """
        occurring = np.flatnonzero(counts)
        frequent = occurring[np.argsort(-counts[occurring], kind="stable")[:max_characters]]
        return cls("".join(map(chr, frequent.tolist())))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    characters: str


def _code_points(text: str) -> NDArray[np.uint32]:
    # surrogatepass: what a terminal could not decode arrives as lone surrogates and is folded to unknown.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
