"""Paths as people type and paste them: quoted, escaped, as a URI, or plain with spaces.

A file dropped on a terminal comes quoted for a shell. File managers copy `file://` URIs. If a file has
exactly the typed name, that file is meant, whatever characters are in the name.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import sys
import unicodedata
from pathlib import Path
from urllib.parse import unquote_to_bytes

from charrepl.errors import CharreplError
from charrepl.system import user_directories

_URI = re.compile(r"file:(?://([^/]*))?(/.*)", re.IGNORECASE | re.DOTALL)
# In '', in "" and in $'', which `ls` and `printf %q` use for invisible characters.
_QUOTED = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_QUOTED_SO_FAR = re.compile(
    r"'([^']*)(?:'|\Z)|\"((?:[^\"\\]|\\.)*)(?:\"|\Z)|\$'((?:[^'\\]|\\.)*)(?:'|\Z)", re.DOTALL
)
# A backslash before a character that is special in a shell is an escape. Before a letter it is part of the
# name.
_ESCAPED = re.compile(r"\\(\W)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r"\\([\"\\$`])")
_CODED = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|(.))", re.DOTALL
)
_CODES = dict(zip(b"abeEfnrtv", b"\a\b\x1b\x1b\f\n\r\t\v", strict=True))
# What web pages, word processors, mail and file managers put around a name or a URI.
_AROUND = re.compile("“(.*)”|‘(.*)’|„(.*)[“”]|«(.*)»|<(file:.*)>", re.DOTALL | re.IGNORECASE)
_UNSEEN = "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_ALIKE = str.maketrans("\xa0\u2007\u202f", "   ")
_MOST_NAMES = 10_000  # names of a directory that we look at
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})(?=/|\Z)", re.ASCII)


def meant(typed: str) -> Path:
    """The absolute path of the file that a person means. Raises CharreplError if it cannot be a path."""
    readings = (typed, _read(_bare(typed), _QUOTED))
    if any("\0" in reading for reading in readings):
        raise CharreplError("a file's name has no NUL character: give another")
    literal, plain = Path(typed).absolute(), user_directories.expanded(readings[1]).absolute()
    if os.path.lexists(literal):
        return literal
    if readings[1].endswith("/") and not plain.is_dir():
        raise CharreplError(f"there is no directory {plain}: make it first, or give the name of a file")
    return plain if os.path.lexists(plain) else _like(plain)


def _bare(typed: str) -> str:
    """Without quotes, blanks and invisible characters around it."""
    bare = typed.strip().strip(_UNSEEN).strip()
    around = _AROUND.fullmatch(bare)
    return next(filter(None, around.groups()), "").strip() if around else bare


def _like(path: Path) -> Path:
    """The only file whose name looks the same: with other kinds of spaces, or accents composed otherwise."""

    def seen(name: str) -> str:
        return unicodedata.normalize("NFC", name).translate(_ALIKE)

    found = []
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        found = [e.name for e in itertools.islice(entries, _MOST_NAMES) if seen(e.name) == seen(path.name)]
    return path.with_name(found[0]) if len(found) == 1 else path


def begun(typed: str) -> str:
    """The plain beginning of a path that is being typed. A quote around it may still be open.

    Raises CharreplError if it is a file on another machine.
    """
    return _read(typed, _QUOTED_SO_FAR)


def _read(typed: str, quoted: re.Pattern[str]) -> str:
    uri = _URI.fullmatch(typed)
    if uri is not None:
        host = (uri[1] or "localhost").lower()
        own = socket.gethostname().lower()
        if host not in ("localhost", own, own.partition(".")[0]):
            raise CharreplError(f"{typed} is on another machine: give a file of this one")
        return os.fsdecode(unquote_to_bytes(uri[2]))
    plain = _unquoted(typed, quoted)
    variable = _VARIABLE.match(plain)
    value = os.environ.get(variable[1] or variable[2]) if variable else None
    return value + plain[variable.end() :] if variable and value else plain


def _unquoted(typed: str, quoted: re.Pattern[str]) -> str:
    """A path as a shell would read it, but with spaces and apostrophes as ordinary characters."""
    plain, at, may_quote = "", 0, True
    while at < len(typed):
        found = quoted.match(typed, at) if may_quote else None
        if found is not None:
            single, double, coded = found.groups()
            if coded is not None:
                plain += os.fsdecode(_CODED.sub(_decoded, os.fsencode(coded)))
            else:
                plain += _ESCAPED_IN_QUOTES.sub(r"\1", double) if single is None else single
        else:
            found = _ESCAPED.match(typed, at)
            plain += found[1] if found else typed[at]
        at = found.end() if found else at + 1
        # A quote within a word, as in `O'Brien's notes`, is an apostrophe.
        may_quote = found is not None or plain.endswith("/")
    return plain


def _decoded(escape: re.Match[bytes]) -> bytes:
    """What an escape in `$''` stands for."""
    octal, byte, *points, char = escape.groups()
    if octal or byte:
        return bytes([int(octal, 8) & 0xFF if octal else int(byte, 16)])
    point = points[0] or points[1]
    if point:
        code = int(point, 16)
        return chr(code).encode("utf-8", "surrogatepass") if code <= sys.maxunicode else escape[0]
    return bytes([_CODES.get(char[0], char[0])])
