"""Standard output and standard error that take whatever is written: in any locale, and where they are closed.

Where another program has made them non-blocking, they wait.

What an encoding lacks is written as the nearest that it has; the name of a file as the bytes that it is.
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
_SHOWN = 8  # of the characters that an encoding lacks


class LenientStream:
    """A handler of encoding errors, for one stream: see https://docs.python.org/3/library/codecs.html."""

    def __init__(self, encoding: str, *, to_terminal: bool) -> None:
        self.lacking: set[str] = set()
        self._encoding = encoding
        # A terminal would obey some of them; where a character has several, they would be in pieces.
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
        """What to say of what was written, if it was not written as it is; else nothing."""
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
    """Writes a text to standard output or error; to a terminal, with what it would obey made visible.

    Names of files, models and commands are whatever somebody chose, and a model writes what it has read.
    """
    stream = sys.stderr if err else sys.stdout
    whole = f"{text}{end}"
    stream.write(printable(whole) if stream.isatty() else whole)
    stream.flush()


def is_output(error: OSError) -> bool:
    """Whether it was standard output that could not be written."""
    return bool(error.filename == _NAMES["stdout"])


def give_up_output() -> None:
    """Has what is left to be written to standard output, and all that comes, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raw(stream: io.TextIOWrapper) -> object:
    return getattr(stream.buffer, "raw", stream.buffer)


def _is_byte(char: str) -> bool:
    """Whether it is a byte of a name that is no text, as Python reads it."""
    return "\udc80" <= char <= "\udcff"


def prepare() -> LenientStream:
    """Makes the streams ready; returns what standard output's encoding turns out to lack."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else a file of ours would be opened in its place, and a library's warning go there
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
    output, _ = _prepared("stdout"), _prepared("stderr")
    return output


def _prepared(name: str) -> LenientStream:
    stream = getattr(sys, name)
    if stream is None:  # closed, as by `>&-`: nobody reads, as with /dev/null
        stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (kept to the end)
        setattr(sys, name, stream)
    elif isinstance(stream, io.TextIOWrapper) and isinstance(_raw(stream), io.FileIO):
        stream.flush()
        # What is computed is worth more than what is said about it.
        raw = nonblocking_files.Writer(stream.fileno(), _NAMES[name], fails=name == "stdout")
        stream = nonblocking_files.patient(stream, raw)
        setattr(sys, name, stream)
    lenient = LenientStream(stream.encoding or "utf-8", to_terminal=stream.isatty())
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(f"charrepl.{name}", lenient)
        stream.reconfigure(errors=f"charrepl.{name}")
    return lenient
