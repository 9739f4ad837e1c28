"""The daemon as a process: one at a time, started, watched and stopped from other processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import Any, Literal

import filelock

from charrepl import interpreter, launch, paths, protocol
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl_daemon import data_dir, record, report
from charrepl_daemon.readiness import READY, TAKEN, read_line
from charrepl_daemon.record import Running

START_TIMEOUT_S = 170.0
_TERM_AFTER_S = 5.0
_KILL_AFTER_S = 5.0
_ANSWER_S = 3.0


def running() -> Running | None:
    """The daemon that holds the lock, if any. A status file without one is stale, and ignored."""
    if not _locked():
        return None
    return record.read() or Running(pid=0, endpoint=paths.endpoint())  # it is about to write it


def _locked() -> bool:
    if not paths.lock_file().exists():  # filelock would make its directory, open to others
        return False
    lock = filelock.FileLock(paths.lock_file(), mode=0o600)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return True
    except OSError:
        return False  # no runtime directory: nobody ever held it
    lock.release()
    return False


def _wait_unlocked(timeout_s: float, *, killed: Running | None = None) -> bool:
    """Whether the daemon let go of its lock, as it does by ending in whatever way, in that time.

    If it was `killed`, as it would not go, that is left for the one after it to tell.
    """
    lock = filelock.FileLock(paths.lock_file(), mode=0o600)
    try:
        lock.acquire(timeout=timeout_s, poll_interval=0.02)
    except filelock.Timeout:
        return False
    if killed is not None and paths.status_file().exists():
        record.write(Running(killed.pid, killed.endpoint, "charrepl-daemon stop, which it did not answer"))
    lock.release()
    return True


# Starting


def start(arguments: list[str]) -> tuple[Literal["started", "running"], Running]:
    """Spawns a daemon and waits until it is ready; one that runs already is left alone.

    Raises CharreplError with the daemon's own reason if it does not get ready.
    """
    paths.private_dir(paths.runtime_dir())
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        settled = _settled(deadline)
        if settled is not None:
            return "running", settled
        started = _spawn(arguments, deadline)
        if started is not None:
            return "started", started
        # Another start was faster. What it started may have ended by now, as that one was told to.


def _spawn(arguments: list[str], deadline: float) -> Running | None:
    """Spawns a daemon and waits until it is ready; None if another one has taken the lock.

    Raises CharreplError, with the daemon's own reason, if it does not get ready.
    """
    read_end, write_end = os.pipe()
    command = interpreter.command("charrepl_daemon", "start", "--foreground", *arguments)
    output = _open_log()
    try:
        # A fresh process, not a fork: JAX's threads do not survive one.
        child = subprocess.Popen(
            [*command, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write_end],
            start_new_session=True,
            cwd="/",
            # If a service runs us, it is not our child that it waits for.
            env={name: value for name, value in interpreter.environment().items() if name != "NOTIFY_SOCKET"},
        )
    finally:
        os.close(write_end)
        if output != subprocess.DEVNULL:
            os.close(output)
    try:
        said = read_line(read_end, max(0.0, deadline - time.monotonic()))
    finally:
        os.close(read_end)
    if said == READY:
        return Running(child.pid, paths.endpoint())
    if said == TAKEN:
        child.wait()
        return None
    if said is None:
        child.terminate()
        raise CharreplError(f"the daemon was not ready after {START_TIMEOUT_S:.0f} s: {_see_log()}")
    if not said:
        code = child.wait()
        raise CharreplError(f"the daemon ended with status {code} before it was ready: {_see_log()}")
    raise CharreplError(said)


def _settled(deadline: float) -> Running | None:
    """The daemon that runs already, once it answers; None if none does, or it ends meanwhile.

    So two starts at once both report the one that won, ready. Raises CharreplError if it hangs.
    """
    while (found := running()) is not None:
        from charrepl.client import Client  # zmq: only where there is something to ask

        status: dict[str, Any] = {"ready": False}
        with contextlib.suppress(CharreplError), Client(autostart=False) as client:
            status = client.status()
        if status["ready"]:
            meant = paths.told_data_dir()
            if data_dir.differs(status["data_dir"], meant):
                raise data_dir.another(status["data_dir"], meant)
            return Running(status["pid"], status["endpoint"])
        if time.monotonic() > deadline:
            raise CharreplError(f"the daemon (pid {found.pid}) runs but does not answer: {_see_log()}")
        time.sleep(0.05)  # it is a process of somebody else's: there is no event to wait for
    return None


def _see_log() -> str:
    return f"see {paths.log_file()}"


def _open_log() -> int:
    try:
        paths.log_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(paths.log_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return subprocess.DEVNULL  # a daemon without a log beats none


# Stopping


def stop() -> Running | None:
    """Stops the daemon and waits for its end; returns which it was, or None if none ran.

    Asks first, then terminates, then kills. Raises CharreplError if it lives on.
    """
    found = running()
    if found is None:
        return None
    with contextlib.suppress(CharreplError):
        ask_to_stop()
        if _wait_unlocked(_TERM_AFTER_S):
            return found
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = running() or found
        if found.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, number)
        if _wait_unlocked(_KILL_AFTER_S, killed=found if number == signal.SIGKILL else None):
            return found
    raise CharreplError(f"the daemon (pid {found.pid}) does not end: kill it by hand")


def ask_to_stop(endpoint: str | None = None) -> None:
    """Asks the daemon at an endpoint, or else this user's own, to drain and exit.

    Raises CharreplError if it does not answer or refuses.
    """
    from charrepl.client import Client

    with Client(endpoint=endpoint, autostart=False, greet=False) as client:
        client.ask(protocol.Shutdown(seq=0), timeout_s=_ANSWER_S)


def status(endpoint: str | None = None) -> dict[str, Any]:
    """What the daemon at an endpoint, or else this user's own, says of itself.

    Raises DaemonUnavailableError if none runs or it does not answer.
    """
    from charrepl.client import Client

    if endpoint:
        with Client(endpoint=endpoint) as client:
            return client.status()
    found = running()
    if found is None:
        before = record.left_behind()
        said = "" if before is None else f" (the last one: {before})"
        raise DaemonUnavailableError(f"no daemon is running{said}: start it with charrepl-daemon start")
    if not launch.is_listening(found.endpoint):
        raise DaemonUnavailableError(f"the daemon (pid {found.pid}) is starting: try again in a moment")
    with Client(autostart=False, greet=False) as client:
        return client.status()


def check_restart(*, if_older: bool) -> None:
    """Returns if the daemon may be restarted: nobody types, or it cannot say so.

    Raises CharreplError if somebody does, or, with `if_older`, if it speaks a newer protocol.
    """
    try:
        found = status()
    except CharreplError:
        return  # it is not there, or out of order: restarting is what will help
    if if_older and found["protocol"] > protocol.PROTOCOL:
        raise CharreplError(
            f"the daemon that runs is newer (charrepl {found['version']}): leave this program, start it anew"
        )
    refusal = report.refusal(found)
    if refusal:
        raise CharreplError(f"the daemon that runs is older, and {refusal}" if if_older else refusal)
