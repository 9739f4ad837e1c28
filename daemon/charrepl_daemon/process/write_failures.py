"""Files that could not be written: log, compiled programs. The daemon goes on, and `status` shows them."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from charrepl.errors import reason
from charrepl_daemon.process.failures import Failure, stamp
from charrepl_daemon.process.lock import Identity, identity, identity_at

MOST_BYTES = 1 << 20  # of one log file
_PLACE = "not_written"  # the name of an attribute of log records


def at(path: Path) -> dict[str, Path]:
    """The `extra` of a log record about a file that could not be written, or was found half written."""
    return {_PLACE: path}


class WriteFailures(logging.Handler):
    """The last failure of each file that could not be written, from `note` and from log records.

    Any thread may add to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._failures: dict[str, Failure] = {}

    def note(self, path: Path, why: str) -> None:
        """Records that a file could not be written, or was found half written."""
        self._failures[str(path)] = Failure(str(path), why, stamp())

    def emit(self, record: logging.LogRecord) -> None:
        """Records the failure in a log record whose `extra` is `at(path)`."""
        path = getattr(record, _PLACE, None)
        if path is not None:
            self.note(path, record.getMessage())

    def report(self) -> list[dict[str, Any]]:
        """The failures, as `status --json` shows them."""
        return [failure._asdict() for failure in list(self._failures.values())]


class LogFile(logging.handlers.RotatingFileHandler):
    """The log, kept small. A line that cannot be written is lost, and the failure is recorded.

    If standard output or standard error lead to the log, they follow to each new file, so that a crash writes
    its traceback there. Another daemon may write to the same log, and rotate it.
    """

    def __init__(self, path: Path, unwritten: WriteFailures) -> None:
        self._unwritten = unwritten
        self._identity: Identity | None = None
        super().__init__(
            path, maxBytes=MOST_BYTES, backupCount=3, encoding="utf-8", errors="backslashreplace"
        )

    def _open(self) -> TextIOWrapper:
        stream: TextIOWrapper = super()._open()
        opened = identity(os.fstat(stream.fileno()))
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):  # if it is closed
                if identity(os.fstat(descriptor)) == self._identity != opened:
                    os.dup2(stream.fileno(), descriptor)
        self._identity = opened
        return stream

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line to the file that is at the path now."""
        if self.stream is not None and identity_at(Path(self.baseFilename)) != self._identity:
            self.stream.close()
            self.stream = None  # logging opens it when needed
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Records why. Prints nothing, because standard error leads to the same full disk."""
        error = sys.exc_info()[1]
        self._unwritten.note(Path(self.baseFilename), reason(error) if error else "unknown")
