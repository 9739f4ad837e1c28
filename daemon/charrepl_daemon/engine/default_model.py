"""Which model answers if a request names none: the model trained last that can be loaded."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl_daemon.engine.hung_reads import HungReads

log = logging.getLogger(__name__)

T = TypeVar("T")

_KEPT_S = 1.0  # how long the answer is used before the disk is read again
_SHORT_S = 60.0  # after this, there may be enough memory again, or the disk may answer
# How long we wait for a model whose disk does not answer, and then for another one: it may be on the same
# disk.
_DEAD_S, _ANOTHER_S = 4.0, 0.5


class DefaultModel:
    """The model that the daemon was started with, or else the model trained last.

    A model that cannot be loaded is passed over until its files change. If memory ran short, it is passed
    over for a minute. If its disk does not answer, it is passed over until it does. Any thread may ask.
    """

    def __init__(self, chosen: str) -> None:
        self.chosen = model_names.find(chosen) if chosen else None
        self.notice = ""  # one line about the choice, for a person; empty if the choice is the usual one
        self._lock = threading.Lock()  # never held while the disk is read, because it may not answer
        self._passed_over: dict[Path, tuple[float, str, float]] = {}  # when changed, why, until when
        self._reads = HungReads()
        self._found = self.chosen or model_names.bundled_dir()
        self._read_at = time.monotonic()
        if self.chosen is None:
            self._read()

    def __call__(self) -> Path:
        """Its directory."""
        return self.known or self._read()

    @property
    def known(self) -> Path | None:
        """The default model's directory, if that was read a moment ago."""
        fresh = self.chosen is not None or time.monotonic() - self._read_at <= _KEPT_S
        return self._found if fresh else None

    def _read(self) -> Path:
        hung: list[str] = []

        def answer(path: Path, read: Callable[[Path], T], otherwise: T) -> T:
            try:
                return self._reads.read(path, read, most_s=_ANOTHER_S if hung else _DEAD_S)
            except CharreplError as error:
                hung.append(str(error))
                return otherwise

        def last_trained(path: Path) -> float | None:
            return answer(path, model_names.trained_at, None)

        now = time.monotonic()
        with self._lock:
            before = dict(self._passed_over)
        passed_over = {
            path: was
            for path, was in before.items()
            if was[0] == answer(path, model_names.changed_at, was[0]) and now < was[2]
        }
        found = wanted = model_names.default(last_trained=last_trained)
        notice = ""
        if wanted in passed_over:
            found = model_names.default(passed_over=passed_over, last_trained=last_trained)
            if found != wanted:
                why = passed_over[wanted][1]
                notice = f"{wanted.name} cannot be loaded, so {found.name} answers: {why}"
        if hung and not notice:
            notice = f"{found.name} answers: {hung[0]}"
        if hung and notice != self.notice:
            log.warning("%s", notice)
        with self._lock:
            if self._passed_over == before:  # otherwise the thread that changed it reads the disk again
                self._passed_over, self._found, self.notice = passed_over, found, notice
                self._read_at = time.monotonic()
            return self._found

    def pass_over(self, directory: Path, error: CharreplError) -> bool:
        """Passes over a model that could not be loaded. Whether another is the default now."""
        codes = (*model_names.UNLOADABLE, "busy")  # busy: its disk does not answer
        if directory != self._found or self.chosen is not None or error.code not in codes:
            return False
        until = time.monotonic() + _SHORT_S if error.code in ("shortage", "busy") else math.inf
        try:
            changed_at = self._reads.read(directory, model_names.changed_at, most_s=_ANOTHER_S)
        except CharreplError:
            changed_at = math.nan
        was = changed_at, str(error), until
        with self._lock:
            self._passed_over = {**self._passed_over, directory: was}
        if self._read() == directory:
            return False
        log.warning("%s", self.notice)
        return True
