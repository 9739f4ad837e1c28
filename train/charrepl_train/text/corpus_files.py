"""Which files a corpus consists of: those named, those in directories, and those that a pattern matches."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from charrepl.errors import CharreplError, reason
from charrepl.files import encodings, file_signatures
from charrepl.files.text_files import STANDARD_INPUT


class CorpusFiles(NamedTuple):
    """The files, in a stable order, and what was left out, in one line; empty for nothing."""

    files: tuple[Path, ...]
    remark: str


def found(corpus: Sequence[Path], exclude: Sequence[str] = ()) -> CorpusFiles:
    """The files of a corpus: in the order given, and sorted by name within a directory or a pattern.

    A file that is named is read whatever it is. Of a directory and all below it, hidden files, empty ones and
    those that are not text are left out. `exclude`: patterns such as `*.html`, `drafts` or `drafts/*.txt`,
    which the end of a file's path, or of a directory's above it, may match.

    Raises CharreplError if nothing is left, or a directory cannot be read.
    """
    exclude = [pattern for pattern in exclude if Path(pattern).parts]
    files: list[Path] = []
    seen: set[Path] = set()
    left_out: dict[str, list[Path]] = {}
    for given in corpus:
        for file, place in _matched(given):
            if place is not None and file in seen:
                continue  # it was named before
            seen.add(file)
            why = _why_not(file, place, exclude)
            if why:
                left_out.setdefault(why, []).append(file)
            else:
                files.append(file)
    told = ", ".join(f"{len(some):,} {why} ({_first(some)})" for why, some in left_out.items())
    if not files:
        raise CharreplError(
            f"there is no text in {', '.join(map(str, corpus))}"
            + (f": left out: {told}" if told else "")
            + ": name text files, or a directory with some in it"
        )
    return CorpusFiles(tuple(files), f"Read {len(files):,} files. Left out: {told}." if told else "")


def is_many(given: Path) -> bool:
    """Whether an argument stands for several files: a directory, or a pattern."""
    return given != STANDARD_INPUT and (given.is_dir() or (_is_pattern(given) and not os.path.lexists(given)))


def name(given: Path) -> str:
    """What an argument is called: a file without its ending, or the directory that is looked in."""
    return _base(given).resolve().name if is_many(given) else given.stem


def _is_pattern(given: Path) -> bool:
    return glob.has_magic(str(given))


def _base(given: Path) -> Path:
    """The directory itself, or the last one that a pattern names in full."""
    return given if given.is_dir() else next(place for place in given.parents if not _is_pattern(place))


def _matched(given: Path) -> Iterator[tuple[Path, Path | None]]:
    """The files that an argument stands for, each with its path in the base; None for one that is named."""
    if not is_many(given):
        yield given, None
        return
    matches, base = [given], _base(given)
    if not given.is_dir():
        try:
            matches = sorted(base.glob(str(given.relative_to(base))))
        except ValueError as error:
            raise CharreplError(f"{given} is not a pattern ({error}): give one such as '**/*.txt'") from None
        if not matches:
            raise CharreplError(f"nothing matches {given}: check the pattern, or name text files")
    for match in matches:
        for file in _below(match) if match.is_dir() else [match]:
            yield file, file.relative_to(base)


def _below(directory: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise CharreplError(
            f"cannot read {error.filename}: {reason(error)}: name the files in it that you can"
        )

    for folder, below, names in os.walk(directory, onerror=fail):
        below.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _why_not(file: Path, place: Path | None, exclude: Sequence[str]) -> str:
    """Why a file is left out; empty if it is not."""
    if file == STANDARD_INPUT:
        return ""
    places = [place or file, *(place or file).parents]
    if any(part.match(pattern) for part in places for pattern in exclude):
        return "excluded"
    if place is None:
        return ""
    if any(part.startswith(".") for part in place.parts):
        return "hidden"
    if not file.is_file():
        return "not a file"
    try:
        with file.open("rb") as opened:
            head = opened.read(file_signatures.HEAD_BYTES)
    except OSError:
        return "not readable"
    if not head:
        return "empty"
    # Text of two bytes a character begins with a mark: whoever reads it says how to convert it.
    binary = b"\0" in head and not encodings.marked(head)
    return "not text" if binary or file_signatures.kind(head) is not None else ""


def _first(files: Sequence[Path]) -> str:
    return f"{files[0]}{', ...' if len(files) > 1 else ''}"
