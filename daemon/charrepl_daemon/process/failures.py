"""What went wrong, and when: for the log, `status` and the next daemon."""

from __future__ import annotations

import datetime
from typing import NamedTuple

DEVICE_THREAD = "device"  # the name of the thread whose failure ends the daemon


class Failure(NamedTuple):
    """Why and when a file could not be written, or a model could not be loaded."""

    path: str
    reason: str
    at: str


def stamp(seconds: float | None = None) -> str:
    """A time in seconds since the epoch, or now, in ISO 8601 and local time."""
    when = datetime.datetime.now() if seconds is None else datetime.datetime.fromtimestamp(seconds)
    return when.astimezone().isoformat(timespec="seconds")
