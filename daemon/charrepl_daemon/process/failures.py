"""What went wrong, and when: for the log, `status` and the next daemon."""

from __future__ import annotations

import datetime
from typing import NamedTuple


class Failure(NamedTuple):
    """A file or a model that could not be written or loaded: why, and when."""

    path: str
    reason: str
    at: str


def stamp(seconds: float | None = None) -> str:
    """A moment, now or so many seconds after the epoch, as people here write it: ISO 8601."""
    when = datetime.datetime.now() if seconds is None else datetime.datetime.fromtimestamp(seconds)
    return when.astimezone().isoformat(timespec="seconds")
