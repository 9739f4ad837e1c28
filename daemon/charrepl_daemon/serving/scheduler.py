"""Who writes next: one thread that owns the device, and the jobs that wait for it.

A `complete` is superseded by a newer one of its session; several writers share a step; passages
and scores take turns in the time that ghosts leave, and have one step in eight if they leave none.
Connections take turns in everything, however much one of them asks for (`fair_queue.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl.wire import protocol
from charrepl_daemon.engine.engine import DeviceLostError, Engine, Extra
from charrepl_daemon.engine.fair_queue import FairQueue
from charrepl_daemon.engine.model_library import Done, ModelLibrary, Result, made_way
from charrepl_daemon.metrics.counters import Metrics
from charrepl_daemon.metrics.declarations import ABANDONED, DEVICE_FAILURES, FAILED, REFUSED, REQUESTS
from charrepl_daemon.model.compile_count import CompileCounter
from charrepl_daemon.model.precision import PrecisionChoice
from charrepl_daemon.process import failures
from charrepl_daemon.serving.batch_selection import BatchSelection
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.work_ahead import WorkAhead

log = logging.getLogger(__name__)

_MOST_JOBS = 1024
_BEGUN_AT_ONCE = 32  # between two steps: beginning a job takes as long as a character
_MOST_UNSENT = 64


class Scheduler:
    """The jobs and the thread that works through them."""

    def __init__(self, *, most_models: int, cache_bytes: int, precision: PrecisionChoice = "auto") -> None:
        self.metrics = Metrics()
        self.lost: Callable[[DeviceLostError], None] = lambda error: None  # called on any thread
        self.library = ModelLibrary(
            most=most_models,
            cache_bytes=cache_bytes,
            precision=precision,
            loaded=self._on_loaded,
            wanted=self._is_wanted,
            dropped=self._on_dropped,
            hurry=self._on_hurry,
        )
        self._changed = threading.Condition()
        self._new: FairQueue[Job] = FairQueue()
        self._ghosts: dict[Hashable, Job] = {}  # the newest of each session, wherever it stands
        self._active: deque[Job] = deque()
        # For a model to be loaded, or for a program of it.
        self._waiting: dict[tuple[Path, Extra | None], list[Job]] = {}
        self._loads: deque[tuple[Path, Extra | None, Result | None]] = deque()
        self._leaving: list[Engine] = []  # dropped, but perhaps still used
        self._hurried = False  # whether those who use them have had their time
        self._all_hurried = False  # also ghosts that have moved before
        self._steps = BatchSelection()
        self._idle = WorkAhead()
        self._draining = False
        self._stopping = False
        self._unfinished: dict[Hashable, set[Job]] = {}  # by connection: those that somebody waits for
        self._count = 0  # of them
        self._thread = threading.Thread(target=self._work, name=failures.DEVICE_THREAD, daemon=True)
        self._compiles = CompileCounter(self._thread)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    # Called by the event loop

    def submit(self, job: Job) -> None:
        """Takes a job; a ghost supersedes the one before it of its session.

        Raises CharreplError with code `busy` if too many are waiting.
        """
        with self._changed:
            if self._draining:
                raise CharreplError("the daemon is stopping: try again in a moment", code="stopping")
            older = self._ghosts.get(job.session) if job.is_ghost else None
            if older is not None:
                self._cancel(older)
            elif (
                self._count >= _MOST_JOBS
                and len(self._unfinished.get(job.connection, ())) >= self._share_of_jobs
            ):
                self.metrics.count(REFUSED)
                raise CharreplError(f"{self._count} requests are waiting: try again in a moment", code="busy")
            if job.is_ghost:
                self._ghosts[job.session] = job
            if older is not None:  # typed faster than this thread gets its turn
                self._new.keep(job.connection, lambda other: other is not older)
            self._new.put(job.connection, job)
            self._unfinished.setdefault(job.connection, set()).add(job)
            self._count += 1
            self.metrics.count(REQUESTS[str(job.request.__struct_config__.tag)])
            self._changed.notify()
        if older is not None:
            older.supersede()

    def abandon(self, job: Job) -> None:
        """Gives up a job whose client is gone."""
        with self._changed:
            if not job.cancelled:
                self.metrics.count(ABANDONED)
            self._cancel(job)
            self._changed.notify()

    def _cancel(self, job: Job) -> None:
        if not job.cancelled:
            job.cancelled = True
            self._count_out(job)  # whatever is left to do for it, nobody waits for it
            if self._ghosts.get(job.session) is job:
                del self._ghosts[job.session]

    @property
    def _share_of_jobs(self) -> int:
        """How many requests each connection may have waiting even when the limit for all is reached."""
        return max(1, _MOST_JOBS // max(1, len(self._unfinished)))

    def _count_out(self, job: Job) -> None:
        self._count -= 1
        jobs = self._unfinished[job.connection]
        jobs.remove(job)
        if not jobs:
            del self._unfinished[job.connection]

    def sent(self, job: Job) -> None:
        """Records that a reply of the job has left."""
        if job.count_unsent(-1) == _MOST_UNSENT // 2:
            with self._changed:
                self._changed.notify()

    def reload(self, directory: Path, done: Done, *, asker: Hashable = None) -> None:
        """Loads a model, again if it is there, and calls `done` on the loading thread.

        An engine that is there serves until then, and stays if the new one cannot be loaded. Raises
        CharreplError with code `busy` if too many wait for it.
        """
        self.library.load(directory, asker=asker, anew=done)

    def stop(self, *, drain_s: float) -> None:
        """Stops the thread once its jobs are done, or after that time. It accepts no more jobs. Blocks."""
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not self._count, timeout=drain_s)
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=drain_s)
        self.library.stop()

    def waiting(self) -> int:
        """How many jobs are not finished."""
        return self._count

    def unfinished(self, connection: Hashable | None = None) -> list[Job]:
        """The jobs that are not finished and not given up, of a connection or of all."""
        with self._changed:
            if connection is not None:
                return list(self._unfinished.get(connection, ()))
            return [job for jobs in self._unfinished.values() for job in jobs]

    @property
    def compiles(self) -> int:
        """Programs that the device's thread compiled while writers waited: none, if all is well."""
        return self._compiles.count

    # The thread

    def _on_loaded(self, directory: Path, extra: Extra | None, result: Result | None) -> None:
        """Puts the jobs that wait for a model, or for a program of it, back into the queue. On any thread."""
        if extra is None and isinstance(result, CharreplError):
            self.metrics.model_failed(str(directory), str(result))
            if isinstance(result, DeviceLostError):
                self.lost(result)
        elif extra is None and result is not None:
            self.metrics.model_loaded(str(directory))
        with self._changed:
            self._loads.append((directory, extra, result))
            self._changed.notify()

    def _is_wanted(self, directory: Path) -> bool:
        with self._changed:
            return any(not job.cancelled for job in self._waiting.get((directory, None), []))

    def _on_dropped(self, engine: Engine) -> None:
        with self._changed:
            self._leaving.append(engine)
            self._changed.notify()

    def _on_hurry(self, everybody: bool) -> None:
        with self._changed:
            self._hurried = bool(self._leaving)
            self._all_hurried = self._hurried and everybody
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, timeout=self._idle.wait_s())
                if self._stopping:
                    return
            self._turn()  # a call of its own, so that its variables are freed: one may be a model

    def _turn(self) -> None:
        with self._changed:
            loads, self._loads = self._loads, deque()
            again = [
                (job, result)
                for directory, extra, result in loads
                for job in self._waiting.pop((directory, extra), [])
            ]
            new = [self._new.take() for _ in range(min(len(self._new), _BEGUN_AT_ONCE))]
        for job, result in [*again, *((job, None) for job in new)]:
            gone = result is None or (isinstance(result, Engine) and result.closed)
            self._admit(job, self.library.get(job.directory) if gone else result)
        self._see_off()
        if not self._step():
            self._guard([], self._idle.step)

    def _users(self, engine: Engine) -> list[Job]:
        return [job for job in self._active if job.engine is engine]

    def _see_off(self) -> None:
        """Closes dropped engines when nobody uses them. After a while, moves those who still do."""
        with self._changed:
            leaving, hurried, everybody = self._leaving, self._hurried, self._all_hurried
        for engine in leaving:
            for job in self._users(engine) if hurried else ():
                # Else a job whose text takes longer to read than its model stays would never be answered.
                if everybody or not job.moved or job.unsent >= _MOST_UNSENT:
                    self._active.remove(job)
                    self._move(job, engine)
            if self._users(engine):
                continue
            log.info("closed %s", engine.directory.name)
            self._idle.spare(engine)
            engine.close()
            with self._changed:
                self._leaving = [other for other in self._leaving if other is not engine]
                self._hurried = self._all_hurried = False
            self.library.closed(engine)

    def _move(self, job: Job, engine: Engine) -> None:
        """Takes an engine away from a job. A ghost goes on with another; other jobs may have to end."""
        anew = self.library.is_loaded(engine.directory)
        if job.is_ghost or (anew and job.movable):
            job.leave()
            job.moved = job.is_ghost
            self._admit(job, self.library.get(job.directory))
        else:
            self._fail(job, made_way(engine, anew=anew))

    def _has_work(self) -> bool:
        leaving = any(self._hurried or not self._users(engine) for engine in self._leaving)
        return bool(self._new or self._loads or leaving or self._runnable() or self._stopping)

    def _admit(self, job: Job, engine: Result | None) -> None:
        """Begins a job, or makes it wait for its model or for a program of it."""
        extra = job.extra if isinstance(engine, Engine) and not engine.can(job.extra) else None
        if job.cancelled or (engine is not None and extra is None):
            self._begin(job, engine)
            return
        with self._changed:
            key = job.directory, extra
            others = [other for other in self._waiting.get(key, []) if not other.cancelled]
            self._waiting[key] = [*others, job]
        # Only after that, because whatever is loaded from here on is reported to the jobs that wait.
        try:
            if extra is None:
                self.library.load(job.directory, asker=job.connection)
            elif not others and isinstance(engine, Engine):
                self.library.make(engine, extra)
        except Exception as error:  # no thread could be started, which must not end this one
            self._fail(job, error)

    def _begin(self, job: Job, engine: Result | None) -> None:
        if job.cancelled or engine is None:
            self._finish(job)
            return
        if isinstance(engine, CharreplError):
            self._fail(job, engine)
            return
        if job.is_ghost:
            self._idle.leave(job.session)
        try:
            job.begin(engine)
        except Exception as error:
            self._fail(job, error)
            return
        self._active.append(job)
        if job.is_ghost and job.begun:  # it is known, or some of it
            self._guard([job], lambda: self._progress([job], time.perf_counter()))

    def _step(self) -> bool:
        """One call on the device: the next piece for as many writers as fit, or a piece of a score.

        Returns whether there was anything to do.
        """
        for job in [job for job in self._active if job.cancelled]:
            self._active.remove(job)
            self._finish(job)
        runnable = self._runnable()
        if not runnable:
            return False
        candidates = self._steps.first(runnable)
        job = candidates[0]
        engine = job.engine
        assert engine is not None
        jobs = [job]
        if not job.rows():
            self._guard(jobs, lambda: self._compute(jobs, job.step))
        else:
            together = [other for other in candidates if other.engine is engine]
            rows = self._steps.share([(j, w) for j in together for w in j.rows()], engine.widest)
            jobs = list(dict.fromkeys(j for j, _ in rows))
            generations = [w for _, w in rows]
            self._guard(jobs, lambda: self._compute(jobs, lambda: engine.step(generations)))
        self._steps.served(jobs)
        for job in jobs:  # to the back, so that the others get their turn
            if job in self._active:
                self._active.remove(job)
                self._active.append(job)
        return True

    def _runnable(self) -> list[Job]:
        """The jobs that can go on, or be cleared away."""
        return [job for job in self._active if job.cancelled or job.unsent < _MOST_UNSENT]

    def _guard(self, jobs: list[Job], work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # one bad request or a failing device must not end the thread
            if isinstance(error, CharreplError) and error.code == "device":
                self.metrics.count(DEVICE_FAILURES, why=str(error))
            for job in jobs:
                if job in self._active:
                    self._active.remove(job)
                    self._fail(job, error)
            if isinstance(error, DeviceLostError):
                self.lost(error)

    def _compute(self, jobs: list[Job], work: Callable[[], None]) -> None:
        """A call on the device for some jobs, and what comes of it."""
        began = time.perf_counter()
        work()
        self._progress(jobs, began)

    def _progress(self, jobs: list[Job], taken_up: float) -> None:
        """Sends what is new of jobs on which work began at `taken_up`, and ends those that are done."""
        now, times = time.perf_counter(), self.metrics.stages
        for job in jobs:
            if job.is_ghost and job.taken_up is None:
                job.taken_up = taken_up
                times["queue"].observe(taken_up - job.received)
            # A step may have had no room for a job of its own.
            if job.taken_up is not None and not job.first_piece and job.begun:
                job.first_piece = True
                times["advance"].observe(now - job.taken_up)
                times["first_piece"].observe(now - job.received)
            if not job.cancelled:
                for reply in job.pieces():
                    job.send(reply)
            if job.done:
                self._active.remove(job)
                if job.is_ghost:
                    if not job.cancelled:
                        job.note_typed(self._idle)
                    times["full_ghost"].observe(now - job.received)
                self._finish(job)

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, CharreplError):
            log.error("a request failed", exc_info=error)
            error = CharreplError(
                f"the daemon failed: {reason(error)}; see charrepl-daemon logs", code="internal"
            )
        self.metrics.count(FAILED)
        if not job.cancelled:
            job.send(protocol.Error(seq=job.request.seq, code=error.code, message=str(error)))
        self._finish(job)

    def _finish(self, job: Job) -> None:
        job.leave()
        with self._changed:
            if self._ghosts.get(job.session) is job:
                del self._ghosts[job.session]
            if not job.cancelled:
                self._count_out(job)
                job.cancelled = True  # a newer request may find it a moment longer
            self._changed.notify_all()
