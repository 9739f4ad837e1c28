"""Who writes next: one thread that owns the device, and the jobs that wait for it.

A `complete` is superseded by a newer one of its session; several writers share a step; passages
and scores take turns in what time the ghosts leave, and have one step in eight if they leave none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from pathlib import Path

from charrepl import graphemes, protocol
from charrepl.errors import CharreplError, reason
from charrepl.window import STRIDE, window_start
from charrepl_daemon.compiles import Compiles
from charrepl_daemon.engine import DeviceLostError, Engine
from charrepl_daemon.idle import Idle
from charrepl_daemon.jobs import Job
from charrepl_daemon.library import Library
from charrepl_daemon.metrics import Metrics
from charrepl_daemon.precision import Wish
from charrepl_daemon.programs import SCORED
from charrepl_daemon.writing import Writing

log = logging.getLogger(__name__)

_MOST_JOBS = 1024
_MUCH = 4  # characters to read, beyond which others need not wait for it
_MOST_UNSENT = 64
_PATIENCE = 7  # steps that ghosts may take while a passage or a score waits


class Scheduler:
    """The jobs and the thread that works through them."""

    def __init__(self, *, most_models: int, cache_bytes: int, precision: Wish = "auto") -> None:
        self.metrics = Metrics()
        self.lost: Callable[[DeviceLostError], None] = lambda error: None  # called on the device's thread
        self.library = Library(
            most=most_models, cache_bytes=cache_bytes, precision=precision, loaded=self._on_loaded
        )
        self._changed = threading.Condition()
        self._new: deque[Job] = deque()
        self._ghosts: dict[Hashable, Job] = {}  # the newest of each session, wherever it stands
        self._active: deque[Job] = deque()
        self._waiting: dict[Path, list[Job]] = {}  # for a model to be loaded
        self._reloads: dict[Path, list[Callable[[CharreplError | None], None]]] = {}
        self._loads: deque[tuple[Path, Engine | CharreplError]] = deque()
        self._idle = Idle()
        self._overtaken = 0  # steps of ghosts since a passage or a score began to wait
        self._reads = False  # whether the last step was one of reading
        self._draining = False
        self._stopping = False
        self._jobs = 0
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._compiles = Compiles(self._thread)

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
            if self._jobs >= _MOST_JOBS:
                self.metrics.refused += 1
                raise CharreplError(f"{self._jobs} requests are waiting: try again in a moment", code="busy")
            if job.is_ghost:
                self._ghosts[job.session] = job
            if len(self._new) >= _MOST_JOBS:  # typed faster than this thread gets its turn
                self._new = deque(other for other in self._new if not other.cancelled)
            self._new.append(job)
            self._jobs += 1
            self.metrics.requests[str(job.request.__struct_config__.tag)] += 1
            self._changed.notify()
        if older is not None:
            request = older.request
            assert isinstance(request, protocol.Complete)
            older.send(protocol.Superseded(seq=request.seq, session=request.session))

    def abandon(self, job: Job) -> None:
        """Gives up a job whose client is gone."""
        with self._changed:
            if not job.cancelled:
                self.metrics.abandoned += 1
            self._cancel(job)
            self._changed.notify()

    def _cancel(self, job: Job) -> None:
        if not job.cancelled:
            job.cancelled = True
            self._jobs -= 1  # whatever is left to do for it, nobody waits for it
            if self._ghosts.get(job.session) is job:
                del self._ghosts[job.session]

    def sent(self, job: Job) -> None:
        """Takes note that a reply of the job has left."""
        if job.count_unsent(-1) == _MOST_UNSENT // 2:
            with self._changed:
                self._changed.notify()

    def reload(self, directory: Path, done: Callable[[CharreplError | None], None]) -> None:
        """Loads a model, anew if it is there, and calls `done` on a loading thread.

        An engine that is there serves until then, and goes on if the new one cannot.
        """
        with self._changed:
            self._reloads.setdefault(directory, []).append(done)
        self.library.load(directory, anew=True)

    def stop(self, *, drain_s: float) -> None:
        """Stops the thread once its jobs are done, or after that long; takes no more. Blocks."""
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not self._jobs, timeout=drain_s)
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=drain_s)

    def waiting(self) -> int:
        """Jobs that are not finished."""
        return self._jobs

    @property
    def compiles(self) -> int:
        """Programs that the device's thread compiled while writers waited: none, if all is well."""
        return self._compiles.count

    # The thread

    def _on_loaded(self, directory: Path, result: Engine | CharreplError) -> None:
        if isinstance(result, CharreplError):
            self.metrics.model_failed(str(directory), str(result))
        else:
            self.metrics.model_loaded(str(directory))
        with self._changed:
            waiting = self._reloads.pop(directory, [])
        self._admit_again(directory, result)
        for done in waiting:
            done(result if isinstance(result, CharreplError) else None)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, timeout=self._idle.wait_s())
                if self._stopping:
                    return
                new = list(self._new)
                self._new.clear()
                loads = list(self._loads)
                self._loads.clear()
            for directory, result in loads:
                for job in self._waiting.pop(directory, []):
                    self._admit(job, result)
            for job in new:
                self._admit(job, self.library.get(job.directory))
            if not self._step():
                self._guard([], self._idle.step)

    def _has_work(self) -> bool:
        return bool(self._new or self._loads or self._runnable() or self._stopping)

    def _admit(self, job: Job, engine: Engine | CharreplError | None) -> None:
        """Begins a job, or has it wait for its model or for a program of it."""
        extra = job.extra
        if isinstance(engine, Engine) and extra is not None and not engine.can(extra):
            if job.directory not in self._waiting:
                self.library.make(engine, extra, self._admit_again)
            engine = None
        if engine is not None:
            self._begin(job, engine)
            return
        waiting = [other for other in self._waiting.get(job.directory, []) if not other.cancelled]
        self._waiting[job.directory] = [*waiting, job]

    def _admit_again(self, directory: Path, result: Engine | CharreplError) -> None:
        """Has the jobs that wait for a model come again. On any thread."""
        with self._changed:
            self._loads.append((directory, result))
            self._changed.notify()

    def _begin(self, job: Job, engine: Engine | CharreplError) -> None:
        if job.cancelled:
            self._finish(job)
            return
        if job.is_ghost:
            self._idle.leave(job.session)
        try:
            if isinstance(engine, CharreplError):
                raise engine
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
        candidates = self._first(runnable)
        job = candidates[0]
        engine = job.engine
        assert engine is not None
        jobs = [job]
        if isinstance(job.request, protocol.Score):
            self._guard(jobs, lambda: self._score(job))
        elif job.search is not None and job.searching:
            search = job.search
            self._guard(jobs, lambda: self._compute(jobs, lambda: engine.search(search)))
        else:
            together = [other for other in candidates if other.engine is engine]
            left = [(j, w) for j in together for w in j.writings if not w.done]
            rows = self._share(left, engine.widest)
            jobs = list(dict.fromkeys(j for j, _ in rows))
            writings = [w for _, w in rows]
            self._guard(jobs, lambda: self._compute(jobs, lambda: engine.step(writings)))
        for job in jobs:  # to the back, so that the others get their turn
            if job in self._active:
                self._active.remove(job)
                self._active.append(job)
        return True

    def _first(self, runnable: list[Job]) -> list[Job]:
        """Whose turn it is: the ghosts', or now and then that of whoever waits for ghosts to leave time."""
        ghosts = [job for job in runnable if job.is_ghost]
        others = [job for job in runnable if not job.is_ghost]
        self._overtaken = self._overtaken + 1 if ghosts and others else 0
        if self._overtaken > _PATIENCE:
            self._overtaken = 0
            return others
        return ghosts or others

    def _share(self, rows: list[tuple[Job, Writing]], most: int) -> list[tuple[Job, Writing]]:
        """Who goes on now: those that write, or those with much to read, in turn: a paste stops nobody.

        Whoever has nothing yet comes first.
        """
        reading = [row for row in rows if row[1].unread > _MUCH]
        writing = [row for row in rows if row[1].unread <= _MUCH]
        self._reads = bool(reading) and not (writing and self._reads)
        chosen = sorted(reading if self._reads else writing, key=lambda row: row[0].first_piece)
        return chosen[:most]

    def _runnable(self) -> list[Job]:
        """The jobs that can go on, or be cleared away."""
        return [job for job in self._active if job.cancelled or job.unsent < _MOST_UNSENT]

    def _guard(self, jobs: list[Job], work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # one bad request or a failing device must not end the thread
            if isinstance(error, CharreplError) and error.code == "device":
                self.metrics.device_failed(str(error))
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
                if isinstance(job.request, protocol.Complete):
                    assert job.engine is not None
                    if not job.cancelled:
                        ghost = None if job.search or len(job.writings) > 1 else job.writings[0]
                        self._idle.note(job.session, job.engine, job.request, ghost)
                    times["full_ghost"].observe(now - job.received)
                self._finish(job)

    def _score(self, job: Job) -> None:
        request, engine = job.request, job.engine
        assert isinstance(request, protocol.Score) and engine is not None
        digest = engine.digest if job.scored else request.digest
        piece, before = _next_piece(request, job.scored)
        job.carry, log_probs = engine.score(piece, job.carry, digest, before=before)
        job.scored += len(piece)
        job.log_probs += log_probs
        if job.scored >= len(request.text):
            self._active.remove(job)
            job.send(
                protocol.Scores(
                    seq=request.seq, log_probs=job.log_probs, carry=job.carry, digest=engine.digest
                )
            )
            self._finish(job)

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, CharreplError):
            log.error("a request failed", exc_info=error)
            error = CharreplError(
                f"the daemon failed: {reason(error)}; see charrepl-daemon logs", code="internal"
            )
        self.metrics.failed += 1
        if not job.cancelled:
            job.send(protocol.Error(seq=job.request.seq, code=error.code, message=str(error)))
        self._finish(job)

    def _finish(self, job: Job) -> None:
        if job.engine is not None:
            for writing in job.writings:
                job.engine.release(writing)
        with self._changed:
            if self._ghosts.get(job.session) is job:
                del self._ghosts[job.session]
            if not job.cancelled:
                self._jobs -= 1
                job.cancelled = True  # a newer request may find it a moment longer
            self._changed.notify_all()


def _next_piece(request: protocol.Score, scored: int) -> tuple[str, str | None]:
    """What to score at one go, and what its window has before it, if it adapts.

    Raises CharreplError if that was not sent.
    """
    length = request.offset + len(request.before) + scored
    start = window_start(length)
    if request.adapt and request.offset > start:
        raise CharreplError(
            f"offset {request.offset} leaves out characters from {start} on that adapting reads: send them",
            code="bad_offset",
        )
    most = min(SCORED, STRIDE - length % STRIDE)  # the next window begins elsewhere
    piece = request.text[scored : graphemes.cut(request.text, scored, most)]
    if not request.adapt:
        return piece, None
    whole = request.before + request.text[:scored]
    return piece, whole[start - request.offset :]
