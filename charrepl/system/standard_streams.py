"""Standard output and standard error that accept any text, in any locale, even if they are closed.

If another program has made them non-blocking, they wait.

A character that the encoding lacks is replaced by the nearest that it has. A file's name is written as its
bytes.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from pathlib import Path

from charrepl.system import nonblocking_files
from charrepl.text.control_characters import printable

_NEAREST = str.maketrans("‘’‚“”„«»‐‑–—−·•→↵", '\'\'\'"""""-----..>/')
_NAMES = {"stdout": "standard output", "stderr": "standard error"}
_SHOWN = 8  # so many of the lacking characters are shown


class LenientStream:
    """Handles a stream's encoding errors: see https://docs.python.org/3/library/codecs.html."""

    def __init__(self, encoding: str, *, to_terminal: bool) -> None:
        self.lacking: set[str] = set()
        self._encoding = encoding
        # A terminal would obey some of these bytes. If a character has several, they would come in pieces.
        self._as_bytes = not to_terminal and "?".encode(encoding) == b"?"

    def __call__(self, error: UnicodeError) -> tuple[str | bytes, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        lacking = error.object[error.start : error.end]
        if self._as_bytes:
            return b"".join(map(self._byte_or_nearest, lacking)), error.end
        return "".join(map(self._nearest, lacking)), error.end

    def _byte_or_nearest(self, char: str) -> bytes:
        if _is_byte(char):
            return char.encode("ascii", "surrogateescape")
        return self._nearest(char).encode("ascii")

    def _nearest(self, char: str) -> str:
        if _is_byte(char):
            return "?"
        self.lacking.add(char)
        parts = unicodedata.normalize("NFKD", char).translate(_NEAREST)
        return "".join(part for part in parts if part.isascii()) or "?"

    def note(self) -> str:
        """A message, if something was not written exactly; else empty."""
        if not self.lacking:
            return ""
        shown = " ".join(sorted(self.lacking)[:_SHOWN]) + (
            " and others" if len(self.lacking) > _SHOWN else ""
        )
        return (
            f"Standard output is {self._encoding}, which lacks {shown.encode('unicode_escape').decode()}: "
            "the nearest was written. With PYTHONIOENCODING=utf-8 nothing is changed."
        )


def echo(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Writes a text to standard output or error. On a terminal, control characters are made visible.

    Names of files and models may contain anything, and a model may write any character that it has read.
    """
    stream = sys.stderr if err else sys.stdout
    whole = f"{text}{end}"
    stream.write(printable(whole) if stream.isatty() else whole)
    stream.flush()


def is_output(error: OSError) -> bool:
    """Whether the error came from standard output."""
    return bool(error.filename == _NAMES["stdout"])


def give_up_output() -> None:
    """Discards what standard output has not written yet, and everything that follows."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raw(stream: io.TextIOWrapper) -> object:
    return getattr(stream.buffer, "raw", stream.buffer)


def _is_byte(char: str) -> bool:
    """Whether a character is Python's stand-in for a byte that it could not decode in a file's name."""
    return "\udc80" <= char <= "\udcff"


def prepare() -> LenientStream:
    """Sets up the streams. Returns an object that records what standard output's encoding lacks."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # otherwise the next file that we open would get this number, and receive warnings
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
    output, _ = _prepared("stdout"), _prepared("stderr")
    return output


def _prepared(name: str) -> LenientStream:
    stream = getattr(sys, name)
    if stream is None:  # closed, as by `>&-`: use /dev/null
        stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (kept to the end)
        setattr(sys, name, stream)
    elif isinstance(stream, io.TextIOWrapper) and isinstance(_raw(stream), io.FileIO):
        stream.flush()
        # The computation is worth more than messages about it.
        raw = nonblocking_files.Writer(stream.fileno(), _NAMES[name], fails=name == "stdout")
        stream = nonblocking_files.patient(stream, raw)
        setattr(sys, name, stream)
    lenient = LenientStream(stream.encoding or "utf-8", to_terminal=stream.isatty())
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(f"charrepl.{name}", lenient)
        stream.reconfigure(errors=f"charrepl.{name}")
    return lenient
