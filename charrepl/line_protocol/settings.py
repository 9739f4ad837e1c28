"""What a client of the line protocol sets: who it is, and how it wants its ghosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrepl.errors import CharreplError
from charrepl.ghost.display_policy import ASSERTIVENESS
from charrepl.line_protocol.frames import SETTING
from charrepl.suggestions.request import MOST_LINES, SuggestionRequest

_MOST_NAME = 1000  # characters; a session's name has to fit a message


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Of one connection, until it sets others."""

    host: str = ""
    document: str = ""  # a newer text of the same document supersedes an older one
    model: str = ""
    assertiveness: str = "normal"
    lines: int = 1
    path: Path | None = None  # the working directory: a `.charrepl-off` may be there or above
    on_demand: bool = False
    recalled: str = ""  # the latest command of the history that begins as the text's last line
    saved: int | None = None  # keys that ghosts have saved in this document so far, where the client counts
    encoding: str = "utf-8"

    def changed(self, frame: bytes) -> LineSettings:
        """These settings as a frame changes them. Raises CharreplError if it says anything wrong.

        An empty value brings back what was there in the beginning.
        """
        new = self
        for setting in frame.split(SETTING)[1:]:
            name, equals, value = setting.decode(self.encoding, "replace").partition("=")
            if not equals or name not in _PARSERS:
                raise CharreplError(f"{name!r} is not a setting: give one of {', '.join(_PARSERS)}")
            parsed: Any = _PARSERS[name](value) if value else getattr(_DEFAULT, name)
            new = replace(new, **{name: parsed})
        return new

    def request(self, before: str) -> SuggestionRequest:
        """What to ask for a text."""
        return SuggestionRequest(
            document=self.document,
            before=before,
            host=self.host,
            path=self.path,
            model=self.model,
            assertiveness=self.assertiveness,
            lines=self.lines,
            on_demand=self.on_demand,
            recalled=self.recalled,
            saved=self.saved,
        )


def _name(value: str) -> str:
    if len(value) > _MOST_NAME:
        raise CharreplError(f"a name of {len(value)} characters: {_MOST_NAME} at most")
    return value


def _recalled(value: str) -> str:
    return value if len(value) <= _MOST_NAME else ""


def _assertiveness(value: str) -> str:
    if value not in ASSERTIVENESS:
        raise CharreplError(f"assertiveness={value}: give one of {', '.join(ASSERTIVENESS)}")
    return value


def _lines(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:3]) <= MOST_LINES):
        raise CharreplError(f"lines={value[:20]}: give 1 to {MOST_LINES}")
    return int(value)


def _saved(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise CharreplError(f"saved={value[:20]}: give a count of keys")
    return int(value)


def _path(value: str) -> Path:
    path = Path(value)
    if not path.is_absolute():
        raise CharreplError(f"path={value}: give an absolute path")
    return path


def _yes(value: str) -> bool:
    if value not in ("yes", "no"):
        raise CharreplError(f"{value!r} is neither yes nor no")
    return value == "yes"


def _encoding(value: str) -> str:
    try:
        fits = "\x01=a".encode(value) == b"\x01=a"
    except (LookupError, UnicodeError):
        fits = False
    if not fits:  # a NUL would be within a character
        raise CharreplError(f"encoding={value}: give one that contains ASCII, such as utf-8")
    return value


_DEFAULT = LineSettings()
_PARSERS: dict[str, Callable[[str], Any]] = {
    "host": _name,
    "document": _name,
    "model": _name,
    "assertiveness": _assertiveness,
    "lines": _lines,
    "path": _path,
    "on_demand": _yes,
    "recalled": _recalled,
    "saved": _saved,
    "encoding": _encoding,
}
