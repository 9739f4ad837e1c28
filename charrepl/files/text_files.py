"""Text files as people have them, read alike by every command: Unix line ends, no byte order mark.

What is no text is refused by the name of what it is, and text in another encoding with the command
that converts it: what is decoded wrongly would train all the same.
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
_CHUNK = 1 << 20  # bytes read at a time: what is made of them stays in the processor's cache
_SAMPLE = 1 << 16  # bytes, by which an encoding is guessed
_RARE = 1000  # bytes for one that is not UTF-8: fewer of these are errors, and no encoding
_BEFORE, _EXCERPT = 20, 40  # characters shown of a text that may be in an encoding
_CONTINUATION = bytes(range(0x80, 0xC0))


class Source(NamedTuple):
    """Where bytes come from, for messages: a name, and the option that says their encoding, if any."""

    file: Path
    option: str = ""

    def __str__(self) -> str:
        return "standard input" if self.file == STANDARD_INPUT else str(self.file)

    @property
    def path(self) -> str:
        """The file's, empty for standard input."""
        return "" if self.file == STANDARD_INPUT else str(self.file)

    def convert(self, encoding: str, flag: str = "") -> str:
        """How to have this text in UTF-8."""
        command = f"iconv {flag} -f {encoding} -t UTF-8".replace("  ", " ")
        if self.path:
            command = f"run {command} {shlex.quote(self.path)} > utf-8.txt"
        else:
            command = f"pass it through {command}"
        return f"{command}, or give {self.option} {encoding}" if self.option and not flag else command


def read(file: Path) -> str:
    """The whole text of a file, or of standard input for `-`. Raises CharreplError as `pieces`."""
    return "".join(pieces(file))


def pieces(file: Path, *, encoding: str = "", option: str = "") -> Iterator[str]:
    """The text of a file, or of standard input for `-`, in pieces of which none is empty.

    It is decoded as `encoding`, or UTF-8. A character that was cut in two where the file begins or ends,
    as `head -c` does, is left out, and so are byte order marks. `option` is how the command that reads
    takes an encoding.
    Raises CharreplError if the file cannot be read, is not text, or is in another encoding.
    """
    source = Source(file, option)
    return decoded(_chunks(source), source, encoding=encoding)


def decoded(
    chunks: Iterable[bytes], source: Source, *, encoding: str = "", whole: bool = False
) -> Iterator[str]:
    """As `pieces`, from bytes. If `whole`, all but a mark at the beginning is read, or is an error."""
    chunks = iter(chunks)
    head = next(chunks, b"")
    codec = _codec(head, source, encoding)
    utf8 = codec == "utf-8"
    decoder = codecs.getincrementaldecoder(codec)()
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    begun = beyond_ascii = False
    offset = _cut_off(head) if utf8 and not whole else 0
    before = b""
    slices = (head[at : at + _CHUNK] for at in range(offset, len(head), _CHUNK))
    parts = itertools.chain(slices, filter(None, chunks), [b""])
    for chunk in parts:
        if utf8:
            _refuse_nul(chunk, offset, parts, source)
        pending, _ = decoder.getstate()  # bytes of a character that the chunk before began
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
            piece = piece.replace("\ufeff", "")  # marks of files that were joined, as by cat
        if piece:
            yield piece
        offset += len(chunk)
        before = chunk if len(chunk) >= _SAMPLE else (before + chunk)[-_SAMPLE:]


def _codec(head: bytes, source: Source, encoding: str) -> str:
    """How to decode what begins with `head`. Raises CharreplError if that is no text, or not so encoded."""
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
    """How many bytes of a character stand at the beginning whose first ones were cut off."""
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
    ):  # as a file system leaves what was being written in a crash
        whole = f"head -c {at} {shlex.quote(source.path or 'FILE')} > text.txt"
        raise CharreplError(f"{source} has nothing but NUL bytes from offset {at} on: {whole} has the text")
    raise CharreplError(f"{source} has a NUL byte at offset {at}: it is not text, or not UTF-8")


def _without_nul(chunks: Iterator[bytes], offset: int, source: Source) -> Iterator[bytes]:
    """The chunks, the first of which is at `offset`. Raises CharreplError at a NUL byte."""
    for chunk in chunks:
        _refuse_nul(chunk, offset, chunks, source)
        offset += len(chunk)
        yield chunk


def _wrongly_said(at: int, encoding: str, source: Source) -> CharreplError:
    """What to say of bytes, the first at `at`, that there are not in the encoding that was asked for."""
    larger = encodings.larger(encoding)
    fix = f"give another {source.option}" + (f", such as {larger}, which has more" if larger else "")
    return CharreplError(f"{source} is not {encoding} at byte {at}: {fix}")


def _not_utf8(at: int, data: bytes, start: int, rest: Iterable[bytes], source: Source) -> CharreplError:
    """What to say of text that is not UTF-8 at byte `at`, which is `data[start]`; `rest` follows."""
    sample = data[data.rfind(b"\n", 0, start) + 1 :][:_SAMPLE]
    for chunk in rest:  # all of it: a NUL byte further on says more, that this was never meant to be text
        sample += chunk[: _SAMPLE - len(sample)]
    where = f"{source} is not UTF-8 at byte {at}"
    good = data.decode("utf-8", "ignore")
    bad = data.decode("utf-8", "replace").count("\ufffd") - good.count("\ufffd")
    few = bad * _RARE < len(data) and not encodings.western(sample)
    if few or sum(char > "\x7f" for char in good) > 4 * bad:
        without = source.convert("UTF-8", "-c")
        return CharreplError(f"{where}, though it is for the most part: to leave out what is not, {without}")
    found = encodings.guess(sample)
    if found is None:
        return CharreplError(
            f"{where}, and no encoding fits: if it is text, ask where it comes from which one it has"
        )
    # Any guess may be wrong, and what is decoded wrongly would train: so a person looks at it.
    reads = _excerpt(sample, data[start:][:1], encodings.codec(found.names[0]))
    return CharreplError(f"{where}, it {found}: if “{reads}” reads well, {source.convert(found.names[0])}")


def _excerpt(sample: bytes, bad: bytes, codec: str) -> str:
    """What stands in a sample around its first byte that is not UTF-8, in one line."""
    before, _, rest = sample.partition(bad)
    head = before.decode(codec, "replace")[-_BEFORE:]
    if len(head) == _BEFORE and " " in head:
        head = head[head.index(" ") :]  # from a whole word on
    tail = (bad + rest).decode(codec, "replace")[:_EXCERPT]
    return " ".join(control_characters.visible((head + tail).replace("\n", " ")).split())


def _chunks(source: Source) -> Iterator[bytes]:
    """The bytes of a file, as they are read; the first of them suffice to tell what it is."""
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
    raw = getattr(file, "raw", file)  # a terminal's end is read but once, and a pipe's text as it comes
    chunk = head = _read_some(raw)
    while chunk and len(head) < file_signatures.HEAD_BYTES:
        chunk = _read_some(raw)
        head += chunk
    yield head
    while chunk:
        chunk = _read_some(raw)
        yield chunk


def _read_some(raw: Any) -> bytes:
    """Some bytes more, none at the end, also where others made the file non-blocking."""
    while (chunk := raw.read(_CHUNK)) is None:
        nonblocking_files.wait(raw.fileno(), select.POLLIN)
    return bytes(chunk)
