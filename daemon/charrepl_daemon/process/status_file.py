"""The daemon's status file: who runs, and, found by the one after it, how its life ended.

A daemon that leaves in order takes the file with it. One that is still there when the lock is free
was left by a daemon that could not, or that says in it why it left.
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
    """What the status file says of the daemon that wrote it."""

    pid: int  # 0 where it cannot be known
    endpoint: str
    birth: str = ""  # as `pids.birth` has it
    options: dict[str, Any] = {}  # of `start`, for the daemon after it
    unit: str = ""  # that the service manager runs it as
    ended: str = ""  # how, once it has

    @property
    def is_alive(self) -> bool:
        """Whether its process still is: not another with its pid."""
        return bool(self.birth) and self.birth == process_ids.birth(self.pid)

    @property
    def named(self) -> str:
        """` (pid 17)`, or nothing where that is not known."""
        return f" (pid {self.pid})" if self.pid else ""


class Predecessor(msgspec.Struct, frozen=True):
    """A daemon that did not leave in order, and when it was last seen, give or take 15 seconds."""

    pid: int
    how: str
    last_seen: str

    def __str__(self) -> str:
        return f"pid {self.pid}, {self.how}; it was last seen at {self.last_seen}"


def write(status: RunningDaemon) -> str:
    """Writes the file; returns why that failed, or nothing: a daemon does without."""
    temporary = paths.status_file().with_suffix(".new")
    try:
        temporary.write_bytes(msgspec.json.encode(status))
        temporary.replace(paths.status_file())
    except OSError as error:
        return reason(error)
    return ""


def read() -> RunningDaemon | None:
    """What the file says, of a daemon that may be gone; None if there is none, or it is damaged."""
    try:
        # Not to wait for a writer, should it be a FIFO; nor to read what a symlink leads to.
        descriptor = os.open(paths.status_file(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=RunningDaemon)
    except (OSError, msgspec.DecodeError):
        return None


def left_behind() -> Predecessor | None:
    """The daemon that left its file. Ask only while no daemon runs: holding the lock, or not finding it."""
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
    """Takes the file away, as who leaves in order does."""
    with contextlib.suppress(OSError):
        paths.status_file().unlink(missing_ok=True)
