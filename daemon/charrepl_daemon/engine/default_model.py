"""Which model answers where a request names none: the last one trained that can be loaded."""

from __future__ import annotations

import logging
import math
import threading
import time
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.settings import model_names

log = logging.getLogger(__name__)

_KEPT_S = 1.0  # it is read from the disk
_SHORT_S = 60.0  # after which memory that ran short may be there again


class DefaultModel:
    """The model that the daemon was started with, or else the last one trained by now.

    One that turns out not to load is passed over, until its files change; for want of memory, for a minute.
    Any thread may ask.
    """

    def __init__(self, chosen: str) -> None:
        self.chosen = model_names.find(chosen) if chosen else None
        self.notice = ""  # what a person should know of the choice, in one line; empty if it is as usual
        self._lock = threading.Lock()  # never held while the disk is read, which may not answer
        self._passed_over: dict[Path, tuple[float, str, float]] = {}  # as last changed, why, until when
        self._found = self.chosen or model_names.default()
        self._read_at = time.monotonic()

    def __call__(self) -> Path:
        """Its directory."""
        return self.known or self._read()

    @property
    def known(self) -> Path | None:
        """Its directory, if that was read lately."""
        fresh = self.chosen is not None or time.monotonic() - self._read_at <= _KEPT_S
        return self._found if fresh else None

    def _read(self) -> Path:
        now = time.monotonic()
        with self._lock:
            before = dict(self._passed_over)
        passed_over = {
            path: was
            for path, was in before.items()
            if was[0] == model_names.changed_at(path) and now < was[2]
        }
        found = wanted = model_names.default()
        notice = ""
        if wanted in passed_over:
            found = model_names.default(passed_over=passed_over)
            if found != wanted:
                why = passed_over[wanted][1]
                notice = f"{wanted.name} cannot be loaded, so {found.name} answers: {why}"
        with self._lock:
            if self._passed_over == before:  # or else it is read anew by whoever changed it
                self._passed_over, self._found, self._read_at, self.notice = passed_over, found, now, notice
            return self._found

    def pass_over(self, directory: Path, error: CharreplError) -> bool:
        """Whether another model is the default now that this one could not be loaded."""
        if directory != self._found or self.chosen is not None or error.code not in model_names.UNLOADABLE:
            return False
        until = time.monotonic() + _SHORT_S if error.code == "shortage" else math.inf
        was = model_names.changed_at(directory), str(error), until
        with self._lock:
            self._passed_over = {**self._passed_over, directory: was}
        if self._read() == directory:
            return False
        log.warning("%s", self.notice)
        return True
