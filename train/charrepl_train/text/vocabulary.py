"""Characters to ids and back."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError, reason
from charrepl.settings import model_names
from charrepl.text import graphemes
from charrepl_train.text import character_folding
from charrepl_train.text.character_folding import NormalForm

UNKNOWN = 0
REPLACEMENT = "�"
_BEFORE_OPENING = [ord(char) for char in " \t\n\r\u00a0\u202f\u3000([{<-‐‑–—―\"'“‘„‚«‹¿¡"]


class Vocabulary:
    """The characters a model knows, in order of code point; id 0 stands for every other.

    The newline is always known: every window starts after an implicit one. What is read is brought to
    `normal_form` first, and of quotes, dashes and spaces the known ones stand for the others.
    """

    def __init__(self, characters: str, *, normal_form: NormalForm = "") -> None:
        self.characters = "".join(sorted(set(characters) | {"\n"}))
        self.normal_form = normal_form
        self._strings = np.array([REPLACEMENT, *self.characters])
        ids = {char: id_ for id_, char in enumerate(self.characters, 1)}
        stand_ins = character_folding.substitutes(ids)
        # Every character that has an id, its own or another's, in order.
        readable = ids | {char: ids[known] for char, known in stand_ins.always.items()}
        self._code_points = _code_points("".join(sorted(readable)))
        self._ids = np.array([readable[char] for char in sorted(readable)], np.int32)
        self._opening = [(ord(char), ids[known]) for char, known in stand_ins.opening.items()]

    def __len__(self) -> int:
        """The number of ids, the unknown included."""
        return len(self.characters) + 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return False
        return other.characters == self.characters and other.normal_form == self.normal_form

    def __hash__(self) -> int:
        return hash(self.characters)

    @property
    def newline(self) -> int:
        """The id of the newline."""
        return int(self.encode("\n")[0])

    def encode(self, text: str) -> NDArray[np.int32]:
        """int32 [letters]: the ids of `text`, `UNKNOWN` for what is not in the vocabulary.

        Where the vocabulary has a normal form, they are as many as the text has characters in that.
        """
        return self.ids(character_folding.normal(text, self.normal_form))

    def encode_aligned(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The ids of `text`, and for each of them which character of it they were read at."""
        if character_folding.is_normal(text, self.normal_form):
            ids = self.ids(text)
            return ids, np.arange(len(ids), dtype=np.int32)
        letters, owners = [], []
        at = 0
        for cluster in graphemes.clusters(text):
            letters.append(character_folding.normal(cluster, self.normal_form))
            last = at + len(cluster) - 1
            owners += [min(at + i, last) for i in range(len(letters[-1]))]
            at = last + 1
        return self.ids("".join(letters)), np.array(owners, np.int32)

    def ids(self, text: str) -> NDArray[np.int32]:
        """int32 [characters]: the id of each character of a text that is in the normal form."""
        code_points = _code_points(text)
        ids = self._table[code_points].astype(np.int32)
        self.open_quotes(ids, code_points)
        return ids

    def open_quotes(
        self, ids: NDArray[Any], code_points: NDArray[np.unsignedinteger], *, before: int = ord("\n")
    ) -> None:
        """Makes straight quotes that begin something opening ones, where the vocabulary has only those.

        `before` is the code point before them.
        """
        for straight, opening in self._opening:
            at = np.flatnonzero(code_points == straight)
            previous = np.where(at > 0, code_points[at - 1], before)
            ids[at[np.isin(previous, _BEFORE_OPENING)]] = opening

    @functools.cached_property
    def _table(self) -> NDArray[np.unsignedinteger]:
        return self.table()

    def table(self) -> NDArray[np.unsignedinteger]:
        """Unsigned [0x110000], of the narrowest type: the id of every code point; for long texts."""
        ids = np.zeros(sys.maxunicode + 1, np.min_scalar_type(len(self) - 1))
        ids[self._code_points] = self._ids
        return ids

    def decode(self, ids: NDArray[np.integer]) -> str:
        """The text of `ids`; U+FFFD for the unknown."""
        return self._strings[np.asarray(ids)].astype("<U1").tobytes().decode("utf-32-le")

    def mask(self, characters: str) -> NDArray[np.bool_]:
        """Bool [vocabulary]: which ids stand for one of `characters`."""
        return np.isin(self._strings, list(characters)) & (np.arange(len(self)) != UNKNOWN)

    def visible(self) -> NDArray[np.bool_]:
        """Bool [vocabulary]: which ids leave a mark on the screen."""
        return np.array([not char.isspace() for char in self._strings.tolist()])

    def encoded(self) -> bytes:
        """What `vocab.json` holds: `{"characters": "...", "normal_form": "NFC"}`."""
        return msgspec.json.encode(_File(characters=self.characters, normal_form=self.normal_form))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """The vocabulary in a file. Raises CharreplError if it is missing or not one."""
        try:
            file = msgspec.json.decode(model_names.contents(path), type=_File)
            return cls(file.characters, normal_form=file.normal_form)
        except OSError as error:
            raise CharreplError(f"cannot read {path}: {reason(error)}; is this a charrepl model?") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CharreplError(
                f"{path} is not a vocabulary ({error}): train or copy the model again"
            ) from None

    @classmethod
    def from_counts(
        cls, counts: NDArray[np.integer], *, max_characters: int, normal_form: NormalForm = ""
    ) -> Vocabulary:
        """The `max_characters` most frequent characters; ties go to the lower code point.

        counts: [code points], how often each occurs.
        """
        occurring = np.flatnonzero(counts)
        frequent = occurring[np.argsort(-counts[occurring], kind="stable")[:max_characters]]
        return cls("".join(map(chr, frequent.tolist())), normal_form=normal_form)


class _File(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    characters: str
    normal_form: NormalForm = ""  # a model without one was trained on its text as that was


def _code_points(text: str) -> NDArray[np.uint32]:
    # surrogatepass: what a terminal could not decode arrives as lone surrogates and is folded to unknown.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
