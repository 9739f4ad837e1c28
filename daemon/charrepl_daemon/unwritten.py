"""What could not be written, the log or compiled programs: the daemon serves on, and `status` tells of it."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any

from charrepl.errors import reason
from charrepl_daemon.metrics import Failure, stamp


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
        super().__init__(path, maxBytes=1 << 20, backupCount=3, encoding="utf-8", errors="backslashreplace")
        self._unwritten = unwritten

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Notes why, and nothing else: standard error leads to the same full disk."""
        error = sys.exc_info()[1]
        self._unwritten.note(Path(self.baseFilename), reason(error) if error else "unknown")
