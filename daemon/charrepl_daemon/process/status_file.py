"""The daemon's status file: which daemon runs. The next daemon finds in it how the last one ended.

A daemon that ends normally removes the file. If the file is there while the lock is free, its daemon could
not remove it, or wrote into it why it ended.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import msgspec

from charrepl.errors import reason
from charrepl.system import paths
from charrepl_daemon.process import process_ids
from charrepl_daemon.process.failures import stamp

_MOST_BYTES = 1 << 16


class RunningDaemon(msgspec.Struct, frozen=True):
    """What the status file says about the daemon that wrote it."""

    pid: int  # 0 if it is not known
    endpoint: str
    birth: str = ""  # from `process_ids.birth`
    options: dict[str, Any] = {}  # of `start`, for the next daemon
    unit: str = ""  # the service manager's unit, if it runs the daemon
    ended: str = ""  # how it ended, if it has

    @property
    def is_alive(self) -> bool:
        """Whether its process is alive, and not another process with its pid."""
        return bool(self.birth) and self.birth == process_ids.birth(self.pid)

    @property
    def named(self) -> str:
        """` (pid 17)`; empty if the pid is not known."""
        return f" (pid {self.pid})" if self.pid else ""


class Predecessor(msgspec.Struct, frozen=True):
    """A daemon that did not end normally, and when it was last seen, to within 15 seconds."""

    pid: int
    how: str
    last_seen: str

    def __str__(self) -> str:
        return f"pid {self.pid}, {self.how}; it was last seen at {self.last_seen}"


def write(status: RunningDaemon) -> str:
    """Writes the file. Returns why that failed, or an empty string: a daemon can work without it."""
    temporary = paths.status_file().with_suffix(".new")
    try:
        temporary.write_bytes(msgspec.json.encode(status))
        temporary.replace(paths.status_file())
    except OSError as error:
        return reason(error)
    return ""


def read() -> RunningDaemon | None:
    """The file's content. Its daemon may be gone. None if there is no file, or it is damaged."""
    try:
        # Does not wait for the writer of a FIFO, and does not follow a symlink.
        descriptor = os.open(paths.status_file(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=RunningDaemon)
    except (OSError, msgspec.DecodeError):
        return None


def left_behind() -> Predecessor | None:
    """The daemon that left its file. Call it only while no daemon runs: hold the lock, or see it missing."""
    found = read()
    if found is None or not found.pid:
        return None
    try:
        last_seen = stamp(paths.status_file().stat().st_mtime)
    except OSError:
        return None
    return Predecessor(found.pid, found.ended or "ended unexpectedly", last_seen)


def mark() -> None:
    """Marks the file as current."""
    with contextlib.suppress(OSError):
        os.utime(paths.status_file())


def remove() -> None:
    """Removes the file, at a normal end."""
    with contextlib.suppress(OSError):
        paths.status_file().unlink(missing_ok=True)
