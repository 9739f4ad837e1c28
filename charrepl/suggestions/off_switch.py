"""Ghosts off: everywhere, in one host, for a time, or below a directory. It is looked at before each request.

$DATA/off.json       until when ghosts are off, by host
.charrepl-off        a file, of whatever content: no ghosts in its directory or below
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl.suggestions.state_file import StateFile
from charrepl.system import disk_errors, paths

MARK = ".charrepl-off"
_ALL = ""
_NO_END = 0.0
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"(?:\d{1,6}[smhd])+", re.ASCII)


def here() -> Path | None:
    """The working directory, as `OffSwitch.why_off` wants it; None if it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return None


def seconds(span: str) -> int:
    """`90m`, `1h30m` or `2d` in seconds. Raises CharreplError if it is not a length of time."""
    if not _SPAN.fullmatch(span):
        raise CharreplError(f"{span!r} is not a length of time: give 30m, 1h, 1h30m or 2d")
    found = sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)([smhd])", span))
    if not found:
        raise CharreplError(f"{span} is zero: give 30m, 1h, 1h30m or 2d")
    return found


def _end(until: float) -> str:
    if until == _NO_END:
        return ""
    return time.strftime(" until %Y-%m-%d %H:%M", time.localtime(until))


class OffSwitch:
    """Whether ghosts are off, for all programs of a user."""

    def __init__(self) -> None:
        # Seconds since 1970 by host, `_ALL` for all of them; `_NO_END` until they are switched on.
        self._file: StateFile[dict[str, float]] = StateFile(
            paths.data_dir() / "off.json", dict[str, float], empty=dict
        )

    def why_off(self, host: str = _ALL, path: Path | None = None) -> str:
        """Why ghosts are off for a host and a path, and how to switch them on; empty if they are on.

        path: absolute, of a file or directory.
        """
        switches = self._file.read()
        for which in (_ALL, host):
            until = switches.get(which)
            if until is not None and (until == _NO_END or time.time() < until):
                where, option = (f" in {which}", f" --host {which}") if which else ("", "")
                return f"ghosts are off{where}{_end(until)}: charrepl on{option} brings them back"
        for place in (path, *path.parents) if path else ():
            if os.path.lexists(place / MARK):
                return f"ghosts are off in {place}: remove its {MARK}"
        return ""

    def turn_off(self, host: str = _ALL, *, for_s: float | None = None) -> None:
        """Ghosts off, in one host or in all, for a time or until `turn_on`.

        Raises CharreplError if it cannot be written.
        """
        until = _NO_END if for_s is None else time.time() + for_s
        self._change(lambda switches: switches.update({host: until}))

    def turn_on(self, host: str = _ALL) -> None:
        """Ghosts on again, in one host or in all. Raises CharreplError if it cannot be written."""

        def edit(switches: dict[str, float]) -> None:
            if host == _ALL:
                switches.clear()
            switches.pop(host, None)

        self._change(edit)

    def _change(self, edit: Callable[[dict[str, float]], None]) -> None:
        try:
            self._file.change(edit)
        except OSError as error:
            fix = disk_errors.advice(error, "or set CHARREPL_DATA_DIR to another place")
            raise CharreplError(f"cannot write {self._file.path}: {reason(error)}: {fix}") from None
