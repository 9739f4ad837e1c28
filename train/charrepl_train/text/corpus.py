"""A corpus: from text files to ids, a piece at a time, so that a text of any length takes little memory."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import mmap
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from charrepl.errors import CharreplError
from charrepl.files import text_files
from charrepl.system import disk_errors
from charrepl_train.cleaning import kinds, mail, markup
from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text import character_folding, trailing_boilerplate
from charrepl_train.text.batching import Ids
from charrepl_train.text.character_folding import NFC, NormalForm
from charrepl_train.text.excerpts import Excerpts, inside, with_context
from charrepl_train.text.rare_characters import Rare, code_points, rarest
from charrepl_train.text.split import Range, Rule, Split, split
from charrepl_train.text.vocabulary import Vocabulary

_TAIL = 32  # characters: more than a letter has
_START = 200_000  # bytes
_IN_MEMORY = 32 << 20  # bytes: a text or its ids, if longer, are kept on the disk


class Corpus(NamedTuple):
    """A text as ids, unsigned [characters], of the narrowest type; a view of a file if there are many."""

    vocabulary: Vocabulary
    split: Split
    train: Ids
    dev: Excerpts
    held_out: Excerpts

    def set_aside(self) -> Ids:
        """What is not trained on: dev, then held out."""
        return np.concatenate([self.train[:0], *self.dev.pieces(), *self.held_out.pieces()])


@contextlib.contextmanager
def read(
    files: Sequence[Path], *, near: Path, encoding: str = "", clean: Sequence[str] = ()
) -> Iterator[Text]:
    """The text of all files, one after the other, with Unix line ends; kept until the `with` block ends.

    They are decoded as `encoding`, or UTF-8, and cleaned as those kinds.

    If it is long, it is kept in a temporary file in `near`, or the nearest directory above it that exists:
    that place must have room for a model anyway, and /tmp may be memory.

    Raises CharreplError if a file is empty or cannot be read as text, if cleaning leaves nothing of them, or
    if the disk is full.
    """
    folder = next(place for place in (near, *near.parents) if place.is_dir())
    with contextlib.closing(_Blocks(folder)) as blocks:
        lengths, digest = [0] * len(files), hashlib.sha256()
        normal, tail = True, ""
        left_out: Counter[str] = Counter()
        for file, piece in _joined(files, encoding, clean, left_out):
            block = _encoded(piece, files[file])
            blocks.append(block, file)
            digest.update(block)
            lengths[file] += len(piece)
            normal = normal and character_folding.is_normal(tail + piece, NFC)
            tail = piece[-_TAIL:]
        if not sum(lengths):
            raise CharreplError(
                f"nothing is left of the text: {kinds.told(left_out, clean)} Choose another --clean, or none"
            )
        yield Text(
            blocks,
            lengths,
            digest.hexdigest(),
            normal=normal,
            encoding=encoding,
            clean=clean,
            cleaned=kinds.told(left_out, clean) if clean else "",
        )


class Text:
    """A text that has been read, from files in `encoding` that have so many characters each.

    `digest` is the SHA-256 of its UTF-8, `normal` if it is in NFC. It was cleaned as the kinds in `clean`,
    and `cleaned` says what that left out.
    """

    def __init__(
        self,
        blocks: _Blocks,
        lengths: Sequence[int],
        digest: str,
        *,
        normal: bool,
        encoding: str = "",
        clean: Sequence[str] = (),
        cleaned: str = "",
    ) -> None:
        self._blocks = blocks
        self.lengths = lengths
        self.digest = digest
        self.encoding = encoding
        self.clean = tuple(clean)
        self.cleaned = cleaned
        self._normal = normal

    @property
    def characters(self) -> int:
        """How many it has."""
        return sum(self.lengths)

    def markup(self) -> str:
        """What a person should know of HTML, mail and chats in the text; empty for nothing."""
        return markup.remark(self._blocks)

    def start(self) -> str:
        """What it begins with, long enough to tell its language."""
        return self._blocks.read(0, _START).decode("utf-8", "ignore")

    def rarest(self, most: int) -> tuple[int, list[Rare]]:
        """How many kinds of characters it has, and so many of the rarest, with where they are."""
        return rarest(self._blocks.by_file, most)

    def strange_ends(self, files: Sequence[Path]) -> str:
        """What a person should know of the ends of the files that were read; empty for nothing."""
        sizes = self._blocks.sizes()
        named = [(str(text_files.Source(file)), sizes[number]) for number, file in enumerate(files)]
        return trailing_boilerplate.remark(self._blocks.read, named)

    def corpus(self, config: TrainingConfig, *, normal_form: NormalForm = NFC, rule: Rule = split) -> Corpus:
        """The text in a normal form, split by a rule, and encoded with the vocabulary of its training part.

        Raises CharreplError if it is too short to train on, or if the disk is full.
        """
        if self._normal or not normal_form:
            return self._encoded(config, normal_form, rule)
        with contextlib.closing(_Blocks(self._blocks.folder)) as blocks:
            lengths = [0] * len(self.lengths)
            for file, of_file in itertools.groupby(self._blocks.by_file(), key=lambda found: found[0]):
                decoded = (block.decode() for _, block in of_file)
                for piece in character_folding.normal_pieces(decoded, normal_form):
                    blocks.append(piece.encode(), file)
                    lengths[file] += len(piece)
            return Text(blocks, lengths, self.digest, normal=True)._encoded(config, normal_form, rule)

    def _encoded(self, config: TrainingConfig, normal_form: NormalForm, rule: Rule) -> Corpus:
        parts = rule(self.lengths, config)
        counts = self._counts(parts.train)
        vocabulary = Vocabulary.from_counts(
            counts, max_characters=config.max_characters, normal_form=normal_form
        )
        table = vocabulary.table()
        apart = [with_context(part) for part in (parts.dev, parts.held_out)]
        with contextlib.closing(_Blocks(self._blocks.folder)) as train:
            found: list[list[Ids]] = [[], []]
            at, before = 0, ord("\n")
            for block in self._blocks:
                points = code_points(block)
                ids = table[points]
                vocabulary.open_quotes(ids, points, before=before)
                train.append(ids[inside(parts.train, at, len(ids))].tobytes())
                for ranges, pieces in zip(apart, found, strict=True):
                    pieces.append(ids[inside(ranges, at, len(ids))])
                at += len(ids)
                before = int(points[-1])
            dev, held_out = (np.concatenate(pieces) for pieces in found)
            return Corpus(
                vocabulary,
                parts,
                train.array(table.dtype),
                Excerpts(dev, parts.dev),
                Excerpts(held_out, parts.held_out),
            )

    def _counts(self, ranges: Sequence[Range]) -> NDArray[np.int64]:
        """How often each code point occurs in some ranges of the text."""
        counts = np.zeros(sys.maxunicode + 1, np.int64)
        at = 0
        for block in self._blocks:
            points = code_points(block)
            seen = np.bincount(points[inside(ranges, at, len(points))])
            counts[: len(seen)] += seen
            at += len(points)
        return counts


class _Blocks:
    """Blocks of bytes: in memory while they are few, else in a file of `folder` without a name.

    Without one, nothing has to be cleared away, whatever ends the process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115  (see close)
        self._lengths: list[int] = []
        self._files: list[int] = []

    def append(self, block: bytes, file: int = 0) -> None:
        """Keeps a block, of a file of that number."""
        try:
            self._file.write(block)
            self._file.flush()  # a full disk is met here, where it is noticed
        except OSError as error:
            fix = disk_errors.advice(error, "or choose another disk with --out")
            raise CharreplError(
                f"could not keep the text, twice its size, in a temporary file in {self.folder}: "
                f"{disk_errors.cause(error)}: {fix}"
            ) from error
        self._lengths.append(len(block))
        self._files.append(file)

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        for length in self._lengths:
            yield self._file.read(length)

    def sizes(self) -> Counter[int]:
        """The bytes of each file."""
        sizes: Counter[int] = Counter()
        for file, length in zip(self._files, self._lengths, strict=True):
            sizes[file] += length
        return sizes

    def by_file(self) -> Iterator[tuple[int, bytes]]:
        """All blocks, each with the number of its file."""
        return zip(self._files, self, strict=True)

    @property
    def length(self) -> int:
        """The bytes of all."""
        return sum(self._lengths)

    def read(self, at: int, size: int) -> bytes:
        """Some of the bytes, wherever the blocks begin."""
        self._file.seek(at)
        return self._file.read(size)

    def array(self, dtype: DTypeLike) -> Ids:
        """All blocks as one array, which outlives them."""
        if self.length > _IN_MEMORY:
            return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), dtype)
        return np.frombuffer(b"".join(self), dtype)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what a full disk refused is refused once more
            self._file.close()


def _joined(
    files: Sequence[Path], encoding: str, clean: Sequence[str], left_out: Counter[str]
) -> Iterator[tuple[int, str]]:
    """The text of all files in pieces, with the number of the file.

    A newline is put after a file that does not end with one and is not the last.
    """
    errors = kinds.UNDECODABLE if kinds.DECODING & set(clean) else "strict"
    last, of = "\n", 0
    for number, file in enumerate(files):
        read = _pieces(file, encoding, errors)
        first = next(read, "")
        if not first:
            raise CharreplError(f"{text_files.Source(file)} is empty: name a text file with something in it")
        for piece in kinds.cleaned(itertools.chain([first], read), clean, left_out):
            if last != "\n" and of != number:
                yield of, "\n"
            yield number, piece
            last, of = piece[-1], number


def _pieces(file: Path, encoding: str, errors: str) -> Iterator[str]:
    try:
        yield from text_files.pieces(file, encoding=encoding, option="--encoding", errors=errors)
    except CharreplError:
        if not encoding and mail.is_mail(file):
            raise CharreplError(
                f"{file} has mails that are not UTF-8: give --clean mail, which reads each as it says it is "
                "encoded, and leaves out its headers"
            ) from None
        raise


def _encoded(piece: str, file: Path) -> bytes:
    try:
        return piece.encode()
    except UnicodeEncodeError:  # --clean mail leaves text alone that is in no mail
        raise CharreplError(
            f"{text_files.Source(file)} has text that is neither UTF-8 nor in a mail: "
            "give its --encoding, or leave --clean mail out to see what it is"
        ) from None
