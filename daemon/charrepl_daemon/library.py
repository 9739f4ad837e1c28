"""The models that are ready to write: loaded on first use, off the serving thread, the least used dropped."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from charrepl import shortage
from charrepl.errors import CharreplError, reason
from charrepl_daemon.engine import Engine, Extra
from charrepl_daemon.precision import Wish

log = logging.getLogger(__name__)

_FAILED_S = 1.0  # for which a model that could not be loaded is not tried again
Loaded = Callable[[Path, Engine | CharreplError], None]


class Library:
    """Engines by directory. Any thread may ask; loading has threads of its own.

    `loaded` is called on a loading thread when a model has become ready, or cannot.
    """

    def __init__(self, *, most: int, cache_bytes: int, precision: Wish = "auto", loaded: Loaded) -> None:
        self._most = most
        self._cache_bytes = cache_bytes
        self._precision = precision
        self._loaded = loaded
        self._engines: OrderedDict[Path, Engine] = OrderedDict()
        self._loading: dict[Path, bool] = {}  # and whether to begin again when that is done
        self._failed: dict[Path, tuple[float, CharreplError]] = {}
        self._lock = threading.Lock()

    def get(self, directory: Path) -> Engine | CharreplError | None:
        """The model's engine; None if it is not loaded, and then loading begins.

        An error if it could not be loaded a moment ago: a writer asks again at every key.
        """
        with self._lock:
            engine = self._engines.get(directory)
            if engine is not None:
                self._engines.move_to_end(directory)
                return engine
            failed_at, error = self._failed.get(directory, (0.0, None))
            if error is not None and time.monotonic() < failed_at + _FAILED_S:
                return error
        self.load(directory)
        return None

    def load(self, directory: Path, *, anew: bool = False) -> None:
        """Begins to load a model, once at a time; `anew` even if a load is under way already."""
        with self._lock:
            if directory in self._loading:
                self._loading[directory] |= anew  # it may have read files older than the wish
                return
            self._loading[directory] = False
        threading.Thread(
            target=self._load, args=(directory,), name=f"load {directory.name}", daemon=True
        ).start()

    def _load(self, directory: Path) -> None:
        while True:
            result = self._read(directory)
            with self._lock:
                if self._loading[directory]:
                    self._loading[directory] = False
                    continue
                del self._loading[directory]
                now = time.monotonic()
                self._failed = {path: was for path, was in self._failed.items() if now < was[0] + _FAILED_S}
                if isinstance(result, CharreplError):
                    self._failed[directory] = now, result
                else:
                    self._failed.pop(directory, None)
                    self._engines[directory] = result
                    self._engines.move_to_end(directory)
                    while len(self._engines) > self._most:
                        dropped, _ = self._engines.popitem(last=False)
                        log.info("dropped %s, the least recently used model", dropped.name)
            break
        self._loaded(directory, result)
        if isinstance(result, Engine):
            result.make("score")
            for batch in result.batches:  # the wider programs are used once they are there
                result.compile(batch)
        _give_back()

    def make(self, engine: Engine, extra: Extra, done: Loaded) -> None:
        """Begins to make a program of an engine, and calls `done` on a thread for it."""

        def compile_() -> None:
            result: Engine | CharreplError = engine
            try:
                engine.make(extra)
            except Exception as error:
                log.warning("could not compile the %s program: %s", extra, reason(error))
                result = CharreplError(
                    f"could not compile the {extra} program: {reason(error)}", code="internal"
                )
            done(engine.directory, result)
            _give_back()

        threading.Thread(target=compile_, name=f"compile {engine.directory.name}", daemon=True).start()

    def _read(self, directory: Path) -> Engine | CharreplError:
        try:
            return Engine(directory, cache_bytes=self._cache_bytes, precision=self._precision)
        except Exception as error:
            # Whatever a broken model provokes concerns those who asked for it, not the daemon.
            log.warning("could not load %s: %s", directory, reason(error))
            if isinstance(error, CharreplError):
                # What has no code of its own is wrong with its files.
                return CharreplError(str(error), code="bad_model" if error.code == "failed" else error.code)
            if short := shortage.of(error):
                return CharreplError(f"could not load {directory.name}: {short}", code="shortage")
            return CharreplError(f"could not load {directory.name}: {reason(error)}", code="bad_model")

    def engines(self) -> list[Engine]:
        """The engines that are ready, the most recently used last."""
        with self._lock:
            return list(self._engines.values())

    def named(self, name: str) -> Path | None:
        """The directory of a loaded model, given its name or its directory; None if there is none."""
        with self._lock:
            found = [path for path in self._engines if name in (path.name, str(path))]
            return found[-1] if found else None

    def is_loaded(self, directory: Path) -> bool:
        """Whether a model can answer at once."""
        with self._lock:
            return directory in self._engines


def _give_back() -> None:
    """Has glibc give back what loading and compiling has freed: it keeps it otherwise, 20 MB a reload."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
