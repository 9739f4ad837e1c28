"""Which requests get the next step on the device, and which rows it has."""

from __future__ import annotations

from collections.abc import Iterable

from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.fair_queue import RoundRobin
from charrepl_daemon.serving.job import Job

_MUCH = 4  # characters to read, beyond which others need not wait for it
_READ_TOGETHER = 8  # rows of a call that reads, where that makes others wait
_PATIENCE = 7  # steps that ghosts may take while a passage or a score waits
_PASSED = 3  # steps that others may have while a job waits, besides one for each of their connections


class BatchSelection:
    """Remembers who had the steps before."""

    def __init__(self) -> None:
        self._turns = RoundRobin()
        self._overtaken = 0  # steps of ghosts since a passage or a score began to wait
        self._reads = False  # whether the last step was a reading step
        self._passed: dict[int, int] = {}  # by a job's id: steps that others had since its last one
        self._due: int | None = None  # the id of the job that must not be passed over again

    def served(self, jobs: Iterable[Job]) -> None:
        """Records which jobs had the step."""
        jobs = list(jobs)
        self._turns.served(job.connection for job in jobs)
        self._passed.update((id(job), 0) for job in jobs)

    def first(self, runnable: list[Job]) -> list[Job]:
        """Whose turn it is: usually that of ghosts, now and then that of waiting passages and scores."""
        ghosts = [job for job in runnable if job.is_ghost]
        others = [job for job in runnable if not job.is_ghost]
        self._overtaken = self._overtaken + 1 if ghosts and others else 0
        if self._overtaken > _PATIENCE:
            self._overtaken = 0
            ghosts = []
        order = self._turns.order(ghosts or others, lambda job: job.connection, lambda job: job.first_piece)
        self._find_due(runnable, order)
        return sorted(order, key=self._can_wait)

    def _find_due(self, runnable: list[Job], candidates: list[Job]) -> None:
        """Finds the job that has waited for too long.

        Those that have nothing yet come first. If new ones never cease, the others would wait for ever: for
        more of a ghost whose model nobody else uses, or while only one row is ready.
        """
        self._passed = {id(job): self._passed.get(id(job), 0) for job in runnable}
        for job in candidates:
            self._passed[id(job)] += 1
        longest = max(candidates, key=lambda job: self._passed[id(job)])
        most = _PASSED + len({job.connection for job in candidates})
        self._due = id(longest) if self._passed[id(longest)] > most else None

    def _can_wait(self, job: Job) -> bool:
        return id(job) != self._due

    def share(self, rows: list[tuple[Job, Generation]], most: int) -> list[tuple[Job, Generation]]:
        """Which jobs go on now. Those that write and those with much to read take turns.

        Among the first jobs of all connections, those that have nothing yet come first.
        """
        reading = [row for row in rows if row[1].unread > _MUCH]
        decoding = [row for row in rows if row[1].unread <= _MUCH]
        self._reads = bool(reading) and not (decoding and self._reads)
        chosen = reading if self._reads else decoding
        askers = len({job.connection for job, _ in chosen})
        if self._reads and askers > 1:  # one asker's many texts must not delay others
            most = min(most, max(askers, _READ_TOGETHER))
        if len(chosen) <= most:
            return chosen
        order = self._turns.order(chosen, lambda row: row[0].connection, lambda row: row[0].first_piece)
        return sorted(order, key=lambda row: self._can_wait(row[0]))[:most]
