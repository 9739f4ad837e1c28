"""The models that are ready to write: loaded on first use, off the serving thread, the least used dropped."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl_daemon.engine import BATCHES, Engine

log = logging.getLogger(__name__)

Loaded = Callable[[Path, Engine | CharreplError], None]


class Library:
    """Engines by directory. `get` and `swap` are the serving thread's; loading has its own threads.

    `loaded` is called on a loading thread when a model has become ready, or cannot.
    """

    def __init__(self, *, most: int, cache_bytes: int, loaded: Loaded) -> None:
        self._most = most
        self._cache_bytes = cache_bytes
        self._loaded = loaded
        self._engines: OrderedDict[Path, Engine] = OrderedDict()
        self._loading: set[Path] = set()
        self._lock = threading.Lock()

    def get(self, directory: Path) -> Engine | None:
        """The model's engine; None if it is not loaded, and then loading begins."""
        with self._lock:
            engine = self._engines.get(directory)
            if engine is not None:
                self._engines.move_to_end(directory)
                return engine
        self.load(directory)
        return None

    def load(self, directory: Path) -> None:
        """Begins to load a model, anew if it is there already; once at a time."""
        with self._lock:
            if directory in self._loading:
                return
            self._loading.add(directory)
        threading.Thread(
            target=self._load, args=(directory,), name=f"load {directory.name}", daemon=True
        ).start()

    def _load(self, directory: Path) -> None:
        try:
            engine = Engine(directory, cache_bytes=self._cache_bytes)
        except Exception as error:
            # Whatever a broken model provokes concerns those who asked for it, not the daemon.
            log.warning("could not load %s: %s", directory, reason(error))
            known = error if isinstance(error, CharreplError) else None
            failure = known or CharreplError(
                f"could not load {directory.name}: {reason(error)}", code="bad_model"
            )
            with self._lock:
                self._loading.discard(directory)
            self._loaded(directory, failure)
            return
        with self._lock:
            self._engines[directory] = engine
            self._engines.move_to_end(directory)
            while len(self._engines) > self._most:
                dropped, _ = self._engines.popitem(last=False)
                log.info("dropped %s, the least recently used model", dropped.name)
            self._loading.discard(directory)
        self._loaded(directory, engine)
        for batch in BATCHES:  # the wider programs are used once they are there
            engine.compile(batch)

    def engines(self) -> list[Engine]:
        """The engines that are ready, the most recently used last."""
        with self._lock:
            return list(self._engines.values())

    def is_loaded(self, directory: Path) -> bool:
        """Whether a model can answer at once."""
        with self._lock:
            return directory in self._engines
