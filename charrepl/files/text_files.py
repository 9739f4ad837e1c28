"""Reads text files in the same way for every command: with Unix line ends, without a byte order mark.

A file that is not text is refused with the name of its kind. Text in another encoding is refused with the
command that converts it, because a model would also train on wrongly decoded text.
"""

from __future__ import annotations

import codecs
import io
import itertools
import select
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from charrepl.errors import CharreplError, reason
from charrepl.files import encodings, file_signatures
from charrepl.system import nonblocking_files
from charrepl.text import control_characters

STANDARD_INPUT = Path("-")
_CHUNK = 1 << 20  # bytes read at a time, so few that the text made of them fits in the processor's cache
_SAMPLE = 1 << 16  # bytes from which an encoding is guessed
_RARE = 1000  # if fewer than one byte in 1000 is not UTF-8, those are errors, not another encoding
_BEFORE, _EXCERPT = 20, 40  # characters of the text that a guess shows
_CONTINUATION = bytes(range(0x80, 0xC0))


class Source(NamedTuple):
    """Where bytes come from, for messages: a name, and the option for their encoding, if there is one."""

    file: Path
    option: str = ""

    def __str__(self) -> str:
        return "standard input" if self.file == STANDARD_INPUT else str(self.file)

    @property
    def path(self) -> str:
        """The file's path; empty for standard input."""
        return "" if self.file == STANDARD_INPUT else str(self.file)

    def convert(self, encoding: str, flag: str = "") -> str:
        """How to convert this text to UTF-8."""
        command = f"iconv {flag} -f {encoding} -t UTF-8".replace("  ", " ")
        if self.path:
            command = f"run {command} {shlex.quote(self.path)} > utf-8.txt"
        else:
            command = f"pass it through {command}"
        return f"{command}, or give {self.option} {encoding}" if self.option and not flag else command


def read(file: Path) -> str:
    """The whole text of a file, or of standard input for `-`. Raises CharreplError as `pieces`."""
    return "".join(pieces(file))


def pieces(file: Path, *, encoding: str = "", option: str = "", errors: str = "strict") -> Iterator[str]:
    """The text of a file, or of standard input for `-`, in pieces that are not empty.

    It is decoded as `encoding`, or UTF-8. Byte order marks are left out. So is a character that was cut in
    two at the file's beginning or end, as `head -c` does. `option` is the reading command's option for an
    encoding, and `errors` how Python decodes what is not in it.
    Raises CharreplError if the file cannot be read, is not text, or is in another encoding.
    """
    source = Source(file, option)
    return decoded(_chunks(source), source, encoding=encoding, errors=errors)


def decoded(
    chunks: Iterable[bytes],
    source: Source,
    *,
    encoding: str = "",
    whole: bool = False,
    errors: str = "strict",
) -> Iterator[str]:
    """As `pieces`, but from bytes. If `whole`, only a mark at the beginning may be left out."""
    chunks = iter(chunks)
    head = next(chunks, b"")
    codec = _codec(head, source, encoding)
    utf8 = codec == "utf-8"
    decoder = codecs.getincrementaldecoder(codec)(errors)
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    begun = beyond_ascii = False
    offset = _cut_off(head) if utf8 and not whole else 0
    before = b""
    slices = (head[at : at + _CHUNK] for at in range(offset, len(head), _CHUNK))
    parts = itertools.chain(slices, filter(None, chunks), [b""])
    for chunk in parts:
        if utf8:
            _refuse_nul(chunk, offset, parts, source)
        pending, _ = decoder.getstate()  # bytes of a character that began in the chunk before
        try:
            piece = lines.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            if utf8 and beyond_ascii and not (whole or chunk):
                return  # the last character was cut in two
            at = offset - len(pending) + error.start
            if not utf8:
                raise _wrongly_said(at, encoding, source) from None
            data, rest = before + chunk, _without_nul(parts, offset + len(chunk), source)
            raise _not_utf8(at, data, at - offset + len(before), rest, source) from None
        if "\0" in piece:
            raise CharreplError(f"{source} has NUL characters in it: it is not text, or not {encoding}")
        beyond_ascii = beyond_ascii or not piece.isascii()
        if not begun:
            begun, piece = bool(piece), piece.removeprefix("\ufeff")
        if not whole:
            piece = piece.replace("\ufeff", "")  # the marks of files joined by cat
        if piece:
            yield piece
        offset += len(chunk)
        before = chunk if len(chunk) >= _SAMPLE else (before + chunk)[-_SAMPLE:]


def _codec(head: bytes, source: Source, encoding: str) -> str:
    """How to decode bytes that begin with `head`. Raises CharreplError if they are not such text."""
    kind = file_signatures.kind(head)
    if kind is not None:
        raise CharreplError(f"{source} is {kind.name}: {kind.advice(source.path)}")
    codec = encodings.codec(encoding or "utf-8")
    marked = encodings.marked(head)
    if marked == "UTF-8":
        return "utf-8"
    other = marked if not codec.startswith(("utf-16", "utf-32")) else ""
    other = other or (encodings.shifted(head) if not encoding else "")
    if other:
        raise CharreplError(f"{source} is {other}, not {encoding or 'UTF-8'}: {source.convert(other)}")
    return codec


def _cut_off(head: bytes) -> int:
    """How many bytes at the beginning belong to a character whose first bytes were cut off."""
    cut = len(head[:3]) - len(head[:3].lstrip(_CONTINUATION))
    try:
        text, _ = codecs.utf_8_decode(head[cut:], "strict", False)
    except UnicodeDecodeError:
        return 0
    return 0 if text.isascii() else cut


def _refuse_nul(chunk: bytes, offset: int, rest: Iterable[bytes], source: Source) -> None:
    nul = chunk.find(b"\0")
    if nul < 0:
        return
    wide = encodings.wide(chunk) if not offset else ""
    if wide:
        raise CharreplError(f"{source} is {wide}, not UTF-8: {source.convert(wide)}")
    at = offset + nul
    if at and not any(
        part.strip(b"\0") for part in itertools.chain([chunk[nul:]], rest)
    ):  # a file system may leave such a file after a crash
        whole = f"head -c {at} {shlex.quote(source.path or 'FILE')} > text.txt"
        raise CharreplError(
            f"{source} has only NUL bytes from offset {at} on: to get the text before them, {whole}"
        )
    raise CharreplError(f"{source} has a NUL byte at offset {at}: it is not text, or not UTF-8")


def _without_nul(chunks: Iterator[bytes], offset: int, source: Source) -> Iterator[bytes]:
    """The chunks, the first of which is at `offset`. Raises CharreplError at a NUL byte."""
    for chunk in chunks:
        _refuse_nul(chunk, offset, chunks, source)
        offset += len(chunk)
        yield chunk


def _wrongly_said(at: int, encoding: str, source: Source) -> CharreplError:
    """The error if the bytes at `at` do not exist in the encoding that was asked for."""
    larger = encodings.larger(encoding)
    fix = f"give another {source.option}" + (f", such as {larger}, which has more" if larger else "")
    return CharreplError(f"{source} is not {encoding} at byte {at}: {fix}")


def _not_utf8(at: int, data: bytes, start: int, rest: Iterable[bytes], source: Source) -> CharreplError:
    """The error for text that is not UTF-8 at byte `at`, which is `data[start]`. `rest` follows."""
    sample = data[data.rfind(b"\n", 0, start) + 1 :][:_SAMPLE]
    for chunk in rest:  # look at all of it: a later NUL byte means that this is not text at all
        sample += chunk[: _SAMPLE - len(sample)]
    where = f"{source} is not UTF-8 at byte {at}"
    good = data.decode("utf-8", "ignore")
    bad = data.decode("utf-8", "replace").count("\ufffd") - good.count("\ufffd")
    few = bad * _RARE < len(data) and not encodings.western(sample)
    if few or sum(char > "\x7f" for char in good) > 4 * bad:
        without = source.convert("UTF-8", "-c")
        return CharreplError(f"{where}, but most of it is: to leave out the rest, {without}")
    found = encodings.guess(sample)
    if found is None:
        return CharreplError(
            f"{where}, and no encoding fits: if it is text, ask its source which encoding it has"
        )
    # A guess may be wrong, and a model would train on wrong text. So a person must check it.
    reads = _excerpt(sample, data[start:][:1], encodings.codec(found.names[0]))
    return CharreplError(f"{where}, it {found}: if “{reads}” reads well, {source.convert(found.names[0])}")


def _excerpt(sample: bytes, bad: bytes, codec: str) -> str:
    """The text of a sample around its first byte that is not UTF-8, in one line."""
    before, _, rest = sample.partition(bad)
    head = before.decode(codec, "replace")[-_BEFORE:]
    if len(head) == _BEFORE and " " in head:
        head = head[head.index(" ") :]  # from a whole word on
    tail = (bad + rest).decode(codec, "replace")[:_EXCERPT]
    return " ".join(control_characters.visible((head + tail).replace("\n", " ")).split())


def _chunks(source: Source) -> Iterator[bytes]:
    """The bytes of a file, as they are read. The first chunk is long enough to recognise its kind."""
    try:
        if source.file == STANDARD_INPUT:
            if sys.stdin is None:
                raise CharreplError("standard input is closed: give the text, or a file, to read instead")
            yield from _read_on(sys.stdin.buffer)
        else:
            with source.file.open("rb") as file:
                yield from _read_on(file)
    except FileNotFoundError:
        raise CharreplError(f"{source} does not exist: name a text file") from None
    except IsADirectoryError:
        raise CharreplError(
            f"{source} is a directory: name the text files in it, as in {source}/*.txt"
        ) from None
    except OSError as error:
        raise CharreplError(f"cannot read {source}: {reason(error)}") from None


def _read_on(file: BinaryIO) -> Iterator[bytes]:
    raw = getattr(file, "raw", file)  # reads a terminal's end only once, and a pipe's text as it comes
    chunk = head = _read_some(raw)
    while chunk and len(head) < file_signatures.HEAD_BYTES:
        chunk = _read_some(raw)
        head += chunk
    yield head
    while chunk:
        chunk = _read_some(raw)
        yield chunk


def _read_some(raw: Any) -> bytes:
    """Some more bytes, or none at the end. Also works if another program made the file non-blocking."""
    while (chunk := raw.read(_CHUNK)) is None:
        nonblocking_files.wait(raw.fileno(), select.POLLIN)
    return bytes(chunk)
