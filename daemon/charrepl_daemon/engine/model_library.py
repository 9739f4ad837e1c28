"""The models in memory. They are loaded on first use, one at a time. The least recently used is dropped."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

from charrepl import resource_shortage
from charrepl.errors import CharreplError, reason
from charrepl_daemon.engine.engine import DeviceLostError, Engine, Extra
from charrepl_daemon.engine.fair_queue import FairQueue
from charrepl_daemon.engine.hung_reads import HungReads
from charrepl_daemon.model.precision import PrecisionChoice
from charrepl_daemon.process.memory import give_back
from charrepl_train.devices import jax_setup
from charrepl_train.model_directory import loaded_model

log = logging.getLogger(__name__)

_FAILED_S = 1.0  # a model that could not be loaded is not tried again for so long
_LEAVING_S = 5.0  # a load waits so long for requests that still use a dropped model
_READING_S = 30.0  # and then so long for ghosts that would have to read their texts a third time
_MOST_WAITING = 1024  # requests that wait until one model is reloaded
Result = Engine | CharreplError
Loaded = Callable[[Path, Extra | None, Result | None], None]
Done = Callable[[CharreplError | None], None]


class _Program(NamedTuple):
    """A program to make for an engine."""

    engine: Engine
    make: Callable[[], None]
    wanted: Extra | None = None  # the program, if somebody waits for it


class _Wish:
    """A request to load a model."""

    def __init__(self) -> None:
        self.done: list[Done] = []  # called when it is reloaded


class ModelLibrary:
    """Engines by directory. Any thread may ask. One thread loads; another compiles programs.

    `loaded` is called on one of these threads when a model is ready, or a program that somebody waits for. It
    is also called if that failed, or if it must be asked for again. `wanted` says whether anybody still waits
    for a model. `dropped` gets a dropped engine; call `closed` with it when nobody uses it any more. Until
    then no other is loaded, so that at most one is in memory besides the `most`. After a while, `hurry` is
    called.
    """

    def __init__(
        self,
        *,
        most: int,
        cache_bytes: int,
        precision: PrecisionChoice = "auto",
        loaded: Loaded,
        wanted: Callable[[Path], bool],
        dropped: Callable[[Engine], None],
        hurry: Callable[[bool], None],
    ) -> None:
        self._most = most
        self._cache_bytes = cache_bytes
        self._precision = precision
        self._loaded = loaded
        self._wanted = wanted
        self._dropped = dropped
        self._hurry = hurry
        self._engines: OrderedDict[Path, Engine] = OrderedDict()
        self._failed: dict[Path, tuple[float, CharreplError]] = {}
        self._wishes: dict[Path, _Wish] = {}
        self._queue: FairQueue[Path] = FairQueue()  # of the models to load
        self._leaving: set[Engine] = set()
        self._programs: deque[_Program] = deque()
        self._changed = threading.Condition()
        self._threads: set[str] = set()
        self._reads = HungReads()
        self._stopped = False

    def get(self, directory: Path) -> Result | None:
        """The model's engine; None if it is not loaded.

        An error if loading failed a moment ago, because a writer asks again with every key.
        """
        with self._changed:
            engine = self._engines.get(directory)
            if engine is not None:
                self._engines.move_to_end(directory)
                return engine
            failed_at, error = self._failed.get(directory, (0.0, None))
            return error if time.monotonic() < failed_at + _FAILED_S else None

    def load(self, directory: Path, *, asker: Hashable, anew: Done | None = None) -> None:
        """Loads a model when it is the asker's turn. With `anew`, reloads a loaded one, then calls `anew`.

        Raises CharreplError with code `busy` if too many wait for that.
        """
        with self._changed:
            wish = self._wishes.get(directory)
            if wish is None:
                wish = self._wishes[directory] = _Wish()
            if anew is not None:
                if len(wish.done) >= _MOST_WAITING:
                    raise CharreplError(
                        "too many requests wait for this model: try again in a moment", code="busy"
                    )
                wish.done.append(anew)
            # In the turns of all who want it. The first turn loads it for all.
            self._queue.keep(asker, lambda path: path != directory)
            self._queue.put(asker, directory)
            self._run("load", self._load_next)

    def make(self, engine: Engine, extra: Extra) -> None:
        """Makes a program of an engine that somebody waits for, before programs that nobody waits for."""
        with self._changed:
            self._programs.appendleft(
                _Program(engine, functools.partial(self._make, engine, extra), wanted=extra)
            )
            self._run("compile", self._compile_next)

    def _run(self, name: str, work: Callable[[], None]) -> None:
        """Wakes the thread for this work, or starts it."""
        self._changed.notify_all()
        if name not in self._threads:
            threading.Thread(target=self._go_on, args=(work,), name=name, daemon=True).start()
            self._threads.add(name)  # only now: if the start failed, the next request tries again

    def _go_on(self, work: Callable[[], None]) -> None:
        while not self._stopped:
            try:
                work()  # a call of its own, so that its variables are freed: one may be a model
            except Exception:  # a defect with one model must not affect the others
                log.exception("work on a model failed")

    def stop(self) -> None:
        """Makes the threads end after their current work."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    # The thread that loads

    def _load_next(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._queue))
            if self._stopped:
                return
            directory = self._queue.take()
            wish = self._wishes.pop(directory, None)
            present = self._engines.get(directory)
        if wish is None:
            return  # an earlier turn has loaded it
        if not wish.done:
            if present is not None:
                self._loaded(directory, None, present)
                return
            if not self._wanted(directory):
                self._loaded(directory, None, None)
                return
        self._wait_for_room()
        result = self._read(directory, present)
        if result is not present:
            self._shelve(directory, result)
        for done in wish.done:  # first: a start that fails is not a running daemon that gives up
            done(result if isinstance(result, CharreplError) else None)
        self._loaded(directory, None, result)
        give_back()

    def _wait_for_room(self) -> None:
        for patience_s, everybody in ((_LEAVING_S, False), (_READING_S, True)):
            with self._changed:
                if self._changed.wait_for(lambda: self._stopped or not self._leaving, timeout=patience_s):
                    return
            self._hurry(everybody)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._leaving)

    def _read(self, directory: Path, present: Engine | None) -> Result:
        """The model as its files are now: `present` if it was made from the same, with all its carries."""
        try:
            loaded = self._reads.read(directory, loaded_model.load)
            if present is not None and present.digest == loaded.digest:
                return present
            return Engine(
                directory,
                cache_bytes=self._cache_bytes,
                precision=self._precision,
                loaded=loaded,
            )
        except Exception as error:
            # A broken model may cause any error. It concerns those who asked for the model, not the daemon.
            log.warning("could not load %s: %s", directory, reason(error))
            if "RESOURCE_EXHAUSTED" in str(error) and jax_setup.has_gpu() and not self.engines():
                # Other programs have its memory. A daemon without a model is of no use there.
                return DeviceLostError(
                    f"the GPU has no room for {directory.name}",
                    fix="close what else uses it, or run charrepl-daemon restart --device cpu",
                )
            if isinstance(error, CharreplError):
                # An error without a code of its own means that something is wrong with the model's files.
                message, code = str(error), "bad_model" if error.code == "failed" else error.code
            elif short := resource_shortage.cause(error):
                message, code = f"could not load {directory.name}: {short}", "shortage"
            else:
                message, code = f"could not load {directory.name}: {reason(error)}", "bad_model"
        # A new error, because the traceback of the old one refers to everything that had been loaded.
        return CharreplError(message, code=code)

    def _shelve(self, directory: Path, result: Result) -> None:
        leaving: list[Engine] = []
        with self._changed:
            now = time.monotonic()
            self._failed = {path: was for path, was in self._failed.items() if now < was[0] + _FAILED_S}
            if isinstance(result, CharreplError):
                self._failed[directory] = now, result
                return
            self._failed.pop(directory, None)
            before = self._engines.pop(directory, None)
            if before is not None:
                leaving.append(before)
            self._engines[directory] = result
            while len(self._engines) > self._most:
                path, engine = self._engines.popitem(last=False)
                log.info("dropped %s, the least recently used model", path.name)
                leaving.append(engine)
            self._leaving.update(leaving)
            spared = [program for program in self._programs if program.engine in self._leaving]
            self._programs = deque(program for program in self._programs if program not in spared)
            # The wider programs are used when they are ready.
            self._programs.append(_Program(result, functools.partial(result.make, "score")))
            self._programs.extend(
                _Program(result, functools.partial(result.compile, batch)) for batch in result.batches
            )
            try:
                self._run("compile", self._compile_next)
            except RuntimeError as error:  # no more threads: it works without these programs
                log.warning("could not begin to compile for %s: %s", directory.name, reason(error))
        for engine in leaving:
            self._dropped(engine)
        for program in spared:
            if program.wanted:
                self._loaded(program.engine.directory, program.wanted, None)

    def closed(self, engine: Engine) -> None:
        """Records that nobody uses a dropped engine any more."""
        with self._changed:
            self._leaving.discard(engine)
            self._changed.notify_all()

    # The thread that compiles

    def _compile_next(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._programs)
            if self._stopped:
                return
            program = self._programs.popleft()
        try:
            program.make()
        except Exception as error:  # the existing programs go on working
            if not program.engine.closed:
                name = program.engine.directory.name
                log.warning("could not compile a program of %s: %s", name, reason(error))
        give_back()

    def _make(self, engine: Engine, extra: Extra) -> None:
        result: Result = engine
        try:
            engine.make(extra)
        except Exception as error:
            log.warning("could not compile the %s program: %s", extra, reason(error))
            result = CharreplError(f"could not compile the {extra} program: {reason(error)}", code="internal")
        self._loaded(engine.directory, extra, result)

    # What is loaded

    def engines(self) -> list[Engine]:
        """The engines that are ready, the most recently used last."""
        with self._changed:
            return list(self._engines.values())

    def is_loaded(self, directory: Path) -> bool:
        """Whether a model can answer immediately."""
        with self._changed:
            return directory in self._engines


def made_way(engine: Engine, *, anew: bool) -> CharreplError:
    """The error for those who used a dropped or reloaded model for too long."""
    name = engine.directory.name
    if anew:
        return CharreplError(f"{name} was reloaded: ask again", code="busy")
    return CharreplError(
        f"{name} was dropped for other models: ask again, or start the daemon with more --max-models",
        code="busy",
    )
