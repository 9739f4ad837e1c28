"""What a daemon owns: its runtime directory, and in it the lock, the sockets and the status file.

A program that cleans up temporary files may remove any of them, and another daemon may create them again. So
a daemon compares what it holds with what is at the path, and never removes anything only because of its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from charrepl.errors import CharreplError, reason
from charrepl.system import disk_errors, paths
from charrepl_daemon.process import process_ids, status_file
from charrepl_daemon.process.listener import Listener, ListeningPath
from charrepl_daemon.process.lock import Identity, Lock, identity, identity_at
from charrepl_daemon.process.readiness import TAKEN
from charrepl_daemon.process.status_file import RunningDaemon

log = logging.getLogger(__name__)

_LOCK_S = 0.5
_LOOK_S = 2.0
_MARK_S = 15.0


class Ownership:
    """What one daemon owns, from `take` to `leave`. `status` is the content of its status file."""

    def __init__(self, status: RunningDaemon, *, unwritten: Callable[[Path, str], None]) -> None:
        self.status = status
        self.listener = Listener(status.endpoint)
        self.line_listener = ListeningPath(paths.line_socket())
        self._unwritten = unwritten
        self._directory = paths.runtime_dir()
        self._entered: int | None = None  # a descriptor of the directory, which identifies it while open
        self._lock: Lock | None = None
        self._complaint = ""
        self.has_left = False  # whether `leave` was called, after a failure or not

    def take(self) -> None:
        """Takes the lock. Raises CharreplError if that is impossible, with code TAKEN if a daemon has it."""
        self._enter()
        if not self._take_lock():
            other = process_ids.listening_at(self.status.endpoint)
            pid = f" (pid {other})" if other else ""
            raise CharreplError(f"a daemon is already running{pid}: charrepl-daemon stop ends it", code=TAKEN)

    def _enter(self) -> None:
        paths.private_dir(self._directory)
        try:
            entered = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise CharreplError(f"cannot enter {self._directory}: {reason(error)}") from None
        self._close()
        self._entered = entered

    def _take_lock(self) -> bool:
        lock = Lock(paths.lock_file())
        try:
            # With a time limit, because `status` holds the lock for a moment to see whether it is free.
            if not lock.acquire(_LOCK_S):
                return False
        except OSError as error:
            fix = disk_errors.advice(error, "or set CHARREPL_RUNTIME_DIR to another place")
            raise CharreplError(f"cannot lock {paths.lock_file()}: {reason(error)}: {fix}") from None
        if self._lock is not None:
            self._lock.release()
        self._lock = lock
        return True

    def announce(self) -> None:
        """Writes the status file."""
        failed = status_file.write(self.status)
        if failed:
            self._unwritten(paths.status_file(), failed)

    @property
    def _listeners(self) -> tuple[ListeningPath, ...]:
        return self.listener, self.line_listener

    @property
    def _mine(self) -> Identity | None:
        return None if self._entered is None else identity(os.fstat(self._entered))

    @property
    def _owns_status_file(self) -> bool:
        """Whether the file is this daemon's, or missing. Only the holder of the lock writes it."""
        found = status_file.read()
        return found is None or (found.pid, found.birth) == (self.status.pid, self.status.birth)

    def keep(self, listen: Callable[[], None]) -> None:
        """Restores what is gone from its path. `listen` binds the listeners again.

        Raises CharreplError if another daemon is there, or if nobody could reach this one any more.
        """
        if identity_at(self._directory) != self._mine:
            self._enter()
            log.warning("%s was not this daemon's any more: it goes on in it", self._directory)
        else:
            self._complain_once()
        if self._lock is None or not self._lock.in_place():
            if not self._take_lock():
                raise CharreplError(f"another daemon has its place now, {self._directory}", code=TAKEN)
            log.warning("%s was gone: locked anew", paths.lock_file())
        gone = [listener.path for listener in self._listeners if not listener.in_place()]
        if gone:
            listen()
            log.warning("%s was gone: listening again", ", ".join(map(str, gone)))
        if status_file.read() != self.status and not status_file.write(self.status):
            log.warning("%s was not this daemon's: written anew", paths.status_file())

    def _complain_once(self) -> None:
        """Logs once why clients cannot use the directory. Its owner can fix that."""
        complaint = ""
        try:
            paths.check_private(self._directory)
        except CharreplError as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            log.warning("nobody can reach this daemon: %s", complaint)
        self._complaint = complaint

    async def watch(self, listen: Callable[[], None]) -> None:
        """Calls `keep`, and marks the status file as current, until cancelled. Raises as `keep`."""
        marked = -_MARK_S
        while not self.has_left:
            self.keep(listen)
            if time.monotonic() >= marked + _MARK_S:
                status_file.mark()
                marked = time.monotonic()
            await asyncio.sleep(_LOOK_S)

    def leave(self, failure: BaseException | None = None) -> None:
        """Removes what the daemon owns. You may call it more than once.

        After a `failure`, the status file stays for the next daemon, as after a crash. It contains the
        reason, if that is for people.
        """
        if self.has_left or self._lock is None or not self._lock.in_place():
            return
        self.has_left = True
        for listener in self._listeners:
            listener.remove()
        if isinstance(failure, CharreplError):
            status_file.write(msgspec.structs.replace(self.status, birth="", ended=f"left: {failure}"))
        elif failure is None and self._owns_status_file:
            status_file.remove()

    def release(self) -> None:
        """Releases the lock, so that the next daemon can start."""
        if self._lock is not None:
            self._lock.release()
        self._close()

    def _close(self) -> None:
        if self._entered is not None:
            with contextlib.suppress(OSError):
                os.close(self._entered)
            self._entered = None
