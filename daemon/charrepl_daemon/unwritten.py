"""What could not be written, the log or compiled programs: the daemon serves on, and `status` tells of it."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
import warnings
from pathlib import Path
from typing import Any

from charrepl import paths
from charrepl.errors import reason
from charrepl_daemon.metrics import Failure, stamp

log = logging.getLogger(__name__)

_PROGRAMS = "persistent compilation cache"  # what JAX's warnings about it have in common


class Unwritten:
    """The last failure of each place that could not be written. Any thread may add to it."""

    def __init__(self) -> None:
        self._failures: dict[str, Failure] = {}

    def note(self, path: Path, why: str) -> None:
        """Takes note that something there could not be written, or was found half written."""
        self._failures[str(path)] = Failure(str(path), why, stamp())

    def report(self) -> list[dict[str, Any]]:
        """What `status --json` tells of it."""
        return [failure._asdict() for failure in list(self._failures.values())]


class LogFile(logging.handlers.RotatingFileHandler):
    """The log, kept small. A line that cannot be written is lost, and noted."""

    def __init__(self, path: Path, unwritten: Unwritten) -> None:
        super().__init__(path, maxBytes=1 << 20, backupCount=3)
        self._unwritten = unwritten

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Notes why, and nothing else: standard error leads to the same full disk."""
        error = sys.exc_info()[1]
        self._unwritten.note(Path(self.baseFilename), reason(error) if error else "unknown")


def watch_programs(unwritten: Unwritten) -> None:
    """Has JAX's warnings about the programs that it keeps noted, and damaged ones thrown away.

    It writes them in place, so that a full disk leaves a part of one, reads that at each start and
    never writes it again. It does not say which: all of them go, and those of this start are written.
    """
    shown = warnings.showwarning

    def show(message: Warning | str, *arguments: Any, **options: Any) -> None:
        if _PROGRAMS not in str(message):
            shown(message, *arguments, **options)
            return
        cache = paths.compilation_cache_dir()
        why = str(message).partition("': ")[2] or str(message)
        unwritten.note(cache, " ".join(why.split())[:300])
        log.warning("programs are compiled anew: %s", why)
        if "reading" in str(message):
            for file in cache.glob("*-cache"):
                with contextlib.suppress(OSError):
                    file.unlink()

    warnings.showwarning = show
    warnings.filterwarnings("always", message=f".*{_PROGRAMS}")
