"""What this process has in memory, and how much of it ZeroMQ holds of messages that have not come whole.

ZeroMQ puts the parts of a message together before it gives out any, and bounds the size of each but not
their number. Its own thread allocates them, so that how often that touches a new page tells how much they
take. Linux alone tells.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

_TASKS = Path("/proc/self/task")
_NAME = "ZMQbg/IO"  # of ZeroMQ's threads
_FAULTS = 7  # where /proc/PID/stat has the pages that were touched first, counted after the name


def resident_bytes() -> int:
    """What this process has in memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def give_back() -> None:
    """Has glibc give back what was freed: it keeps it otherwise, 20 MB a reload."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


class Unfinished:
    """An estimate of what messages take that have not come whole, from one look to the next."""

    def __init__(self) -> None:
        self._threads: list[Path] = []
        self._resident = resident_bytes()
        self._touched = self._touched_bytes()
        self.held_bytes = 0

    def look(self) -> None:
        """Adds what came since the last look, or takes off what went."""
        resident, touched = resident_bytes(), self._touched_bytes()
        grown = resident - self._resident
        self.held_bytes = max(0, self.held_bytes + min(grown, touched - self._touched))
        self._resident, self._touched = resident, touched

    def _touched_bytes(self) -> int:
        # A thread gives itself its name, which on a busy machine may be a while after it was started.
        self._threads = self._threads or _threads()
        pages = 0
        for stat in self._threads:
            with contextlib.suppress(OSError):
                pages += int(stat.read_bytes().rpartition(b")")[2].split()[_FAULTS])
        return pages * os.sysconf("SC_PAGE_SIZE")


def _threads() -> list[Path]:
    """Where the system tells of ZeroMQ's threads."""
    found = []
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            if (task / "comm").read_text().startswith(_NAME):
                found.append(task / "stat")
    return found
