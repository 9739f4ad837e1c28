"""Reads the history of zsh, bash, fish or IPython, in whatever form its file has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from charrepl.errors import CharreplError, reason
from charrepl.shell_history import ipython_database

# bash's lines below one timestamp are one command, unless there are so many that timestamps must be missing.
_LONGEST_COMMAND = 50
_ZSH = re.compile(rb": (\d{1,12}):\d+;")
_BASH = re.compile(rb"#(\d{9,12})")
_FISH = b"- cmd: "
_FISH_ESCAPE = re.compile(r"\\([\\n])")
_META = re.compile(rb"\x83(.)", re.DOTALL)
# A terminal's answers and keys get into histories.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Command(NamedTuple):
    """What was entered at once. It may have several lines, and does not end with a newline."""

    text: str
    when: float | None = None  # seconds since 1970, where the history says so


def read(path: Path) -> list[Command]:
    """The commands of a history, the oldest first, each as often as it was entered.

    What is damaged is left out. Raises CharreplError if the file cannot be read or holds no history.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(21, os.strerror(21))
        data = path.read_bytes()
    except OSError as error:
        raise CharreplError(f"cannot read {path}: {reason(error)}: name a shell's history file") from None
    if data.startswith(ipython_database.MAGIC):
        return list(_cleaned(Command(*row) for row in ipython_database.rows(path)))
    return parse(data)


def parse(data: bytes) -> list[Command]:
    """The commands in what zsh, bash or fish wrote; which of them did is told by its lines."""
    lines = data.replace(b"\0", b"").replace(b"\r\n", b"\n").split(b"\n")
    signs = {
        _in_fish: sum(line.startswith(_FISH) for line in lines),
        _in_zsh: sum(line.startswith(b": ") and _ZSH.match(line) is not None for line in lines),
        _in_bash: sum(line.startswith(b"#") and _BASH.fullmatch(line) is not None for line in lines),
    }
    most = max(signs, key=lambda kind: signs[kind])
    return list(_cleaned(most(lines) if signs[most] else _in_lines(lines)))


def usual_places(environment: Mapping[str, str], home: Path) -> list[Path]:
    """The histories of this user that are there, the one that was written last at the end."""
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    state = Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state")
    zsh = Path(environment.get("ZDOTDIR") or home)
    ipython = Path(environment.get("IPYTHONDIR") or home / ".ipython")
    places = [
        home / ".bash_history",
        *(folder / name for folder in (home, zsh) for name in (".zsh_history", ".zhistory", ".histfile")),
        state / "zsh" / "history",
        data / "fish" / "fish_history",
        ipython / "profile_default" / "history.sqlite",
    ]
    if environment.get("HISTFILE"):
        places.append(Path(environment["HISTFILE"]).expanduser())
    found = {place.resolve(): place for place in places if place.is_file() and place.stat().st_size}
    return sorted(found, key=lambda place: place.stat().st_mtime)


def _cleaned(commands: Iterator[Command]) -> Iterator[Command]:
    for text, when in commands:
        clean = _CONTROL.sub("", text).rstrip("\n")
        if clean.strip():
            yield Command(clean, when)


def _in_zsh(lines: Sequence[bytes]) -> Iterator[Command]:
    """With EXTENDED_HISTORY: `: began:seconds;command`."""
    for line in _joined(lines, always=True):
        header = _ZSH.match(line)
        yield Command(
            _decoded(line[header.end() :] if header else line), float(header[1]) if header else None
        )


def _in_lines(lines: Sequence[bytes]) -> Iterator[Command]:
    """Without timestamps, as bash or zsh wrote it."""
    for line in _joined(lines, always=False):
        yield Command(_decoded(line))


def _joined(lines: Sequence[bytes], *, always: bool) -> Iterator[bytes]:
    """Commands: zsh writes a newline within one as backslash, newline.

    bash's own backslash, which stays, mostly has a space before it: so where either shell may have written
    the lines, that one stays too, unless `always` says that it is zsh's.
    """
    begun = b""
    for line in lines:
        if line.endswith(b"\\"):
            begun += (line if not always and line.endswith(b" \\") else line[:-1]) + b"\n"
            continue
        line = begun + line
        if line.endswith(b" ") and line.rstrip(b" ").endswith(b"\\"):
            line = line[:-1]  # zsh's mark for a backslash at the end that is the command's own
        yield line
        begun = b""
    if begun:
        yield begun


def _in_bash(lines: Sequence[bytes]) -> Iterator[Command]:
    """With HISTTIMEFORMAT: a line `#seconds` before each command."""
    when: float | None = None
    command: list[bytes] = []
    for line in [*lines, b"#0"]:
        stamp = _BASH.fullmatch(line) if line.startswith(b"#") else None
        if stamp is None and line != b"#0":
            command.append(line)
            continue
        if when is not None and len(command) <= _LONGEST_COMMAND:
            command = [b"\n".join(command)]
        for text in command:
            yield Command(_decoded(text), when)
        command = []
        when = float(stamp[1]) if stamp else None


def _in_fish(lines: Sequence[bytes]) -> Iterator[Command]:
    """Looks like YAML: `- cmd: command`, then `  when: seconds`."""
    text, when = "", None
    for line in lines:
        if line.startswith(_FISH):
            yield Command(text, when)
            escaped = _decoded(line[len(_FISH) :])
            text = _FISH_ESCAPE.sub(lambda found: "\n" if found[1] == "n" else "\\", escaped)
            when = None
        elif line.startswith(b"  when: ") and line[8:].strip().isdigit() and len(line) < 24:
            when = float(line[8:])
    yield Command(text, when)


def _decoded(line: bytes) -> str:
    """A command as text: UTF-8, or that as zsh writes it with some bytes marked, or one byte a character."""
    if line.isascii():
        return line.decode("ascii")
    for attempt in (line, _META.sub(lambda found: bytes([found[1][0] ^ 32]), line)):
        try:
            return attempt.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return line.decode("latin-1")
