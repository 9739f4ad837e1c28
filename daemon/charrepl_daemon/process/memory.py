"""The process's memory, and how much of it ZeroMQ uses for incomplete messages.

ZeroMQ collects all parts of a message before it delivers any. It limits the size of each part, but not their
number. Its own thread allocates them, so the number of new pages that this thread touches shows how much
memory they take. Only Linux gives this number.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

_TASKS = Path("/proc/self/task")
_NAME = "ZMQbg/IO"  # the beginning of the names of ZeroMQ's threads
_ARENA_MAX, _ARENAS = -8, 2  # as <malloc.h> numbers the option
_FAULTS = 7  # the place of minor page faults in /proc/PID/stat, counted after the name


def resident_bytes() -> int:
    """The bytes that this process has in memory; 0 if the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def give_back() -> None:
    """Makes glibc return freed memory to the system. Otherwise it keeps 20 MB for each reload."""
    with contextlib.suppress(OSError, AttributeError):  # if it is another C library
        ctypes.CDLL(None).malloc_trim(0)


def use_few_arenas() -> None:
    """Makes glibc share memory among threads. Call it before there are any.

    Otherwise most of a dozen threads have arenas of their own, and what is free in one serves no other.
    """
    with contextlib.suppress(OSError, AttributeError):  # if it is another C library
        if "MALLOC_ARENA_MAX" not in os.environ:
            ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


class Unfinished:
    """Estimates the memory of incomplete messages, from one look to the next."""

    def __init__(self) -> None:
        self._threads: list[Path] = []
        self._resident = resident_bytes()
        self._touched = self._touched_bytes()
        self.held_bytes = 0

    def look(self) -> None:
        """Adds what came since the last look, or subtracts what went."""
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
