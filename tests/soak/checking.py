"""Ghosts, compared to those of an engine that reads each text anew."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from charrepl.wire import context_window, protocol

MARGIN = 1e-3  # nats: two candidates closer than this may change places in another batch
ROWS = 8
LOW_PRIORITY = 10


class Asked(NamedTuple):
    """What was asked for, and what came: each alternative's text and log-probabilities."""

    text: str
    request: protocol.Complete
    ghosts: list[tuple[str, list[float]]]


def difference(
    ghost: tuple[str, list[float]], fresh: tuple[str, list[float]], least: float
) -> tuple[float, int] | None:
    """By how many nats, and where, two ghosts part; None if they are the same.

    `least` is the logarithm of the threshold that cut them. That is 0 at most if a log-probability
    differs although the character does not: this is never a matter of margins.
    """
    for i, (ours, theirs) in enumerate(zip(ghost[0], fresh[0], strict=False)):
        apart = abs(ghost[1][i] - fresh[1][i])
        if ours != theirs:
            return apart, i
        if apart > MARGIN:
            return math.inf, i
    if len(ghost[0]) == len(fresh[0]):
        return None
    at = min(len(ghost[0]), len(fresh[0]))
    longer = max(ghost, fresh, key=lambda one: len(one[0]))
    return abs(sum(longer[1][: at + 1]) - least), at


class Checker(threading.Thread):
    """Compares ghosts as they come; whoever hands one in waits while it has too many.

    On Linux it computes only in time that nobody else needs: what writers wait for is the daemon alone.
    """

    def __init__(self, model: Path) -> None:
        super().__init__(name="checker", daemon=True)
        self._model = model
        self._engine: Any = None
        self._queue: queue.Queue[Asked | None] = queue.Queue(64)
        self._number = 0
        self.checked = 0
        self.close = 0
        self.wrong: list[str] = []
        self.start()

    def put(self, asked: Asked | None) -> None:
        """Hands a ghost in, unless the checker has failed."""
        while self.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(asked, timeout=1.0)
                return

    def finish(self) -> None:
        """Waits until all are compared."""
        self.put(None)
        self.join()

    def run(self) -> None:
        """Compares until there are no more."""
        if sys.platform == "linux":  # for this thread, and those that it starts
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
        try:
            self._load()
            self._follow()
        except Exception as error:
            self.wrong.append(f"the checker failed: {type(error).__name__}: {error}")

    def _load(self) -> None:
        from charrepl_train.devices import jax_setup

        jax_setup.prepare(cache=False)
        from charrepl_daemon.engine.engine import Engine

        self._engine = Engine(self._model, cache_bytes=32 << 20, precision="f32")
        self._engine.compile(ROWS)

    def _follow(self) -> None:
        last = False
        while not last:
            batch = [self._queue.get()]
            while len(batch) < ROWS and batch[-1] is not None and not self._queue.empty():
                batch.append(self._queue.get())
            last = batch[-1] is None
            self._check([asked for asked in batch if asked is not None])

    def _check(self, batch: list[Asked]) -> None:
        jobs = [self._begin(asked) for asked in batch]
        while left := [w for job in jobs for w in job.generations if not w.done]:
            self._engine.step(left[:ROWS])
        for asked, job in zip(batch, jobs, strict=True):
            for generation in job.generations:
                self._engine.release(generation)
            self._engine._cache.forget(job.generations[0].session)  # the next one is to be read anew
            # Of more ways than were asked for, it offers those that differ.
            ghosts = {reply.alternative: (reply.text, reply.log_probs) for reply in job.pieces()}
            self._compare(asked, [ghosts.get(rank, ("", [])) for rank in range(asked.request.alternatives)])
            self.checked += 1

    def _begin(self, asked: Asked) -> Any:
        from charrepl_daemon.serving.jobs import job_for

        self._number += 1
        text, offset = context_window.windowed(asked.text)
        request = msgspec.structs.replace(asked.request, text=text, offset=offset)
        job = job_for(
            request, directory=self._model, connection=self._number, deliver=lambda job, reply: None
        )
        job.begin(self._engine)
        return job

    def _compare(self, asked: Asked, fresh: list[tuple[str, list[float]]]) -> None:
        request = asked.request
        least = math.log(request.min_confidence) if request.min_confidence > 0 else -math.inf
        for i, (ghost, expected) in enumerate(zip(asked.ghosts, fresh, strict=True)):
            found = difference(ghost, expected, least)
            if found is None:
                continue
            if found[0] < MARGIN:
                self.close += 1
            else:
                self.wrong.append(
                    f"alternative {i} after {len(asked.text)} characters ending {asked.text[-20:]!r}: "
                    f"{ghost[0]!r}, not {expected[0]!r}; {found[0]:.4f} nats at {found[1]}, {request.model}"
                )
