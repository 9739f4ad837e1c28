"""The daemon's status file: who runs, and, found by the one after it, how its life ended.

A daemon that leaves in order takes the file with it. One that is still there when the lock is free
was left by a daemon that could not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

import msgspec

from charrepl import paths
from charrepl.errors import reason
from charrepl_daemon.metrics import stamp

_BEAT_S = 15.0


class Running(msgspec.Struct, frozen=True):
    """What the status file says of the daemon that wrote it."""

    pid: int
    endpoint: str
    killed_by: str = ""  # what had to end it, if it would not by itself


class Predecessor(msgspec.Struct, frozen=True):
    """A daemon that did not leave in order, and when it was last seen, give or take 15 seconds."""

    pid: int
    how: str
    last_seen: str

    def __str__(self) -> str:
        return f"pid {self.pid}, {self.how}; it was last seen at {self.last_seen}"


def write(status: Running) -> str:
    """Writes the file; returns why that failed, or nothing: only `stop` of a daemon that hangs needs it."""
    temporary = paths.status_file().with_suffix(".new")
    try:
        temporary.write_bytes(msgspec.json.encode(status))
        temporary.replace(paths.status_file())
    except OSError as error:
        return reason(error)
    return ""


def read() -> Running | None:
    """What the file says, of a daemon that may be gone; None if there is none, or it is damaged."""
    try:
        return msgspec.json.decode(paths.status_file().read_bytes(), type=Running)
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
    how = f"was killed by {found.killed_by}" if found.killed_by else "ended unexpectedly"
    return Predecessor(found.pid, how, last_seen)


async def beat() -> None:
    """Marks the file as current now and then, until cancelled."""
    while True:
        with contextlib.suppress(OSError):
            os.utime(paths.status_file())
        await asyncio.sleep(_BEAT_S)


def remove() -> None:
    """Takes the file away, as who leaves in order does."""
    with contextlib.suppress(OSError):
        paths.status_file().unlink(missing_ok=True)
