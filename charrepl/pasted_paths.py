"""Paths as people type and paste them: quoted, escaped, as a URI, or plainly, spaces and all.

A file dropped on a terminal comes as a shell would want it, and file managers copy `file://` URIs. A
name that is there just as it was typed is the one that is meant, whatever characters are in it.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import unquote_to_bytes

from charrepl import user_dirs
from charrepl.errors import CharreplError

_URI = re.compile(r"file:(?://([^/]*))?(/.*)", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_QUOTED_SO_FAR = re.compile(r"'([^']*)(?:'|\Z)|\"((?:[^\"\\]|\\.)*)(?:\"|\Z)", re.DOTALL)
# A backslash is a shell's before what means something to a shell, and the name's own before a letter.
_ESCAPED = re.compile(r"\\(\W)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r"\\([\"\\$`])")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})(?=/|\Z)", re.ASCII)


def meant(typed: str) -> Path:
    """The absolute path of the file that a person means. Raises CharreplError if it can be none."""
    readings = (typed, _read(typed.strip(), _QUOTED))
    if any("\0" in reading for reading in readings):
        raise CharreplError("a file's name has no NUL character: give another")
    literal, plain = Path(typed).absolute(), user_dirs.expanded(readings[1]).absolute()
    if os.path.lexists(literal):
        return literal
    if readings[1].endswith("/") and not plain.is_dir():
        raise CharreplError(f"there is no directory {plain}: make it first, or give the name of a file")
    return plain


def begun(typed: str) -> str:
    """The plain beginning of a path that is being typed, a quote around which may still be open.

    Raises CharreplError if it is a file of another machine.
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
    """What a shell makes of it; but spaces are plain, and so are quotes that are apostrophes."""
    plain, at, may_quote = "", 0, True
    while at < len(typed):
        found = quoted.match(typed, at) if may_quote else None
        if found is not None:
            plain += _ESCAPED_IN_QUOTES.sub(r"\1", found[2]) if found[1] is None else found[1]
        else:
            found = _ESCAPED.match(typed, at)
            plain += found[1] if found else typed[at]
        at = found.end() if found else at + 1
        # A quote within a word, as in `O'Brien's notes`, is none.
        may_quote = found is not None or plain.endswith("/")
    return plain
