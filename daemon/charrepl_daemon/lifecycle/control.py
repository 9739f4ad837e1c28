"""Starts, watches and stops the daemon from other processes. Only one runs at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import Any, Literal

import msgspec

from charrepl import resource_shortage
from charrepl.client import daemon_startup
from charrepl.errors import CharreplError, DaemonUnavailableError, reason
from charrepl.system import interpreter, paths
from charrepl.wire import protocol
from charrepl_daemon.lifecycle import systemd_service
from charrepl_daemon.metrics import status_report
from charrepl_daemon.process import data_directory, process_ids, status_file
from charrepl_daemon.process.lock import Lock
from charrepl_daemon.process.readiness import READY, TAKEN, read_line
from charrepl_daemon.process.status_file import RunningDaemon

START_TIMEOUT_S = 170.0
_TERM_AFTER_S = 5.0
_KILL_AFTER_S = 5.0
_ANSWER_S = 3.0
_MOST_READ = 1 << 20  # bytes of the log
_MOST_SILENCES = 2  # each as long as `Client.status` waits


def running() -> RunningDaemon | None:
    """The daemon that holds the lock, if there is one. Without a lock, a status file is stale and ignored.

    Its pid is certainly its own, or 0 if it cannot be found: the daemon may just have begun, or be in a
    container.
    """
    if not _locked():
        return None
    recorded = status_file.read()
    if recorded is not None and recorded.is_alive:
        return recorded
    # It could not write the file again, or has ended already.
    pid = process_ids.listening_at(paths.endpoint())
    return RunningDaemon(pid, paths.endpoint(), birth=process_ids.birth(pid))


def _locked() -> bool:
    lock = Lock(paths.lock_file())
    try:
        return not lock.acquire(0.0, create=False)
    except OSError:
        return False  # no such file: nobody holds it
    finally:
        lock.release()


def _wait_unlocked(timeout_s: float, *, killed: RunningDaemon | None = None) -> bool:
    """Whether the daemon released its lock in that time. It does so however it ends.

    If it was `killed` because it did not end, the status file says so for the next daemon.
    """
    lock = Lock(paths.lock_file())
    try:
        if not lock.acquire(timeout_s, create=False):
            return False
        if killed is not None and paths.status_file().exists():
            status_file.write(
                msgspec.structs.replace(
                    killed, birth="", ended="was killed by charrepl-daemon stop, which it did not answer"
                )
            )
    except FileNotFoundError:
        pass  # its directory is gone, and the lock too
    finally:
        lock.release()
    return True


# Starting


def as_arguments(options: dict[str, Any]) -> list[str]:
    """Options of `start`, for another process."""
    given = [
        (f"--{name.replace('_', '-')}", str(value))
        for name, value in options.items()
        if value not in (None, "")
    ]
    return [word for option in given for word in option]


def start(arguments: list[str]) -> tuple[Literal["started", "running"], RunningDaemon]:
    """Spawns a daemon and waits until it is ready. If one runs already, does nothing.

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
        # Another start was faster. Its daemon may have ended by now, because it was told to.


def _spawn(arguments: list[str], deadline: float) -> RunningDaemon | None:
    """Spawns a daemon and waits until it is ready. None if another one has taken the lock.

    Raises CharreplError, with the daemon's own reason, if it does not get ready.
    """
    read_end, write_end = os.pipe()
    command = interpreter.command("charrepl_daemon", "start", "--foreground", *arguments)
    output = _open_log()
    logged = _log_size()
    try:
        # A new process, not a fork: JAX's threads would not survive a fork.
        child = subprocess.Popen(
            [*command, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write_end],
            start_new_session=True,
            cwd="/",
            # If a service runs us, it does not wait for our child.
            env={name: value for name, value in interpreter.environment().items() if name != "NOTIFY_SOCKET"},
        )
    except OSError as error:
        os.close(read_end)
        raise CharreplError(
            resource_shortage.cause(error) or f"cannot run {command[0]}: {reason(error)}"
        ) from error
    finally:
        os.close(write_end)
        if output != subprocess.DEVNULL:
            os.close(output)
    try:
        said = read_line(read_end, max(0.0, deadline - time.monotonic()))
    finally:
        os.close(read_end)
    if said == READY:
        return RunningDaemon(child.pid, paths.endpoint())
    if said == TAKEN:
        child.wait()
        return None
    if said is None:
        child.terminate()
        raise CharreplError(f"the daemon was not ready after {START_TIMEOUT_S:.0f} s: {_see_log()}")
    if not said:
        raise CharreplError(_how_it_ended(child.wait(), logged))
    raise CharreplError(said)


def _how_it_ended(code: int, logged: int) -> str:
    """What happened to a daemon that ended before it was ready, and wrote at most to the log."""
    with contextlib.suppress(OSError), paths.log_file().open("rb") as file:
        file.seek(logged)
        if short := resource_shortage.in_text(file.read(_MOST_READ).decode(errors="replace")):
            return short
    if code == -signal.SIGKILL:
        return (
            f"the system killed it before it was ready, as it does where {resource_shortage.said('memory')}"
        )
    end = f"it ended with status {code} before it was ready"
    if code < 0:
        end = f"it crashed before it was ready ({signal.Signals(-code).name})"
    # What it knows to be wrong it would have said: without memory, Python itself fails in many ways.
    short = resource_shortage.likely()
    return f"{end}, as it does where {short}" if short else f"{end}: {_see_log()}"


def _log_size() -> int:
    try:
        return paths.log_file().stat().st_size
    except OSError:
        return 0


def _settled(deadline: float) -> RunningDaemon | None:
    """The daemon that runs already, when it answers. None if none runs, or it ends meanwhile.

    So two starts at the same time both report the same daemon as ready. Raises CharreplError if it hangs, or
    has another protocol version.
    """
    asked = 0
    while (found := running()) is not None:
        status, silent = _asked()
        asked += silent
        if status is not None and status["protocol"] != protocol.PROTOCOL:
            raise CharreplError(
                f"the running daemon{found.named} is charrepl {status['version']}, which speaks "
                "another protocol: charrepl-daemon restart replaces it"
            )
        if status is not None and status["ready"]:
            meant = paths.told_data_dir()
            if data_directory.differs(status["data_dir"], meant):
                raise data_directory.another(status["data_dir"], meant)
            return msgspec.structs.replace(found, pid=found.pid or status["pid"])
        if asked >= _MOST_SILENCES or time.monotonic() > deadline:
            raise CharreplError(
                f"the running daemon{found.named} does not answer: run charrepl-daemon restart, "
                f"and {_see_log()}"
            )
        time.sleep(0.05)  # another program started it: there is no event to wait for
    return None


def _asked() -> tuple[dict[str, Any] | None, bool]:
    """The daemon's status, whatever its protocol version; or None, and whether it did not answer."""
    from charrepl.client import Client  # zmq: only if there is a daemon to ask

    began = time.monotonic()
    try:
        with Client(autostart=False, greet=False) as client:
            return client.status(), False
    except CharreplError:
        return None, time.monotonic() - began >= _ANSWER_S


def _see_log() -> str:
    return f"see {paths.log_file()}"


def _open_log() -> int:
    try:
        paths.log_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(paths.log_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return subprocess.DEVNULL  # a daemon without a log is better than none


# Stopping


def stop() -> RunningDaemon | None:
    """Stops the daemon and waits for its end. Returns the daemon, or None if none ran.

    First asks it, then terminates it, then kills it. If it is a systemd unit, systemd terminates it;
    otherwise systemd would start it again. Raises CharreplError if it still runs.
    """
    found = running()
    if found is None:
        return None
    with contextlib.suppress(CharreplError):
        ask_to_stop()
        if _wait_unlocked(_TERM_AFTER_S):
            return found
    if found.unit:
        with contextlib.suppress(CharreplError):  # then we must do it
            systemd_service.control("stop", found.unit)
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = running() or found
        # Found again at the last moment: the pid may belong to another process by now.
        if found.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, number)
        if _wait_unlocked(_KILL_AFTER_S, killed=found if number == signal.SIGKILL else None):
            return found
    fix = f"kill {found.pid} by hand" if found.pid else "end it where it runs, perhaps in another container"
    raise CharreplError(f"the daemon{found.named} does not end: {fix}")


def ask_to_stop(endpoint: str | None = None) -> None:
    """Asks the daemon at an endpoint, or this user's own, to finish its work and exit.

    Raises CharreplError if it does not answer or refuses.
    """
    from charrepl.client import Client

    with Client(endpoint=endpoint, autostart=False, greet=False) as client:
        client.ask(protocol.Shutdown(seq=0), timeout_s=_ANSWER_S)


def status(endpoint: str | None = None) -> dict[str, Any]:
    """The status of the daemon at an endpoint, or of this user's own.

    Raises DaemonUnavailableError if none runs or it does not answer.
    """
    from charrepl.client import Client

    if endpoint:
        with Client(endpoint=endpoint) as client:
            return client.status()
    found = running()
    if found is None:
        before = status_file.left_behind()
        said = "" if before is None else f" (the last one: {before})"
        raise DaemonUnavailableError(f"no daemon is running{said}: start it with charrepl-daemon start")
    if not daemon_startup.is_listening(paths.endpoint()):
        raise DaemonUnavailableError(f"the daemon{found.named} is starting, or ending: try again in a moment")
    with Client(autostart=False, greet=False) as client:
        return client.status()


def options_before() -> dict[str, Any]:
    """The options of the running daemon, or of the last one if that did not end normally."""
    found = running() or status_file.read()
    return {} if found is None else found.options


# Replacing


def metrics_url() -> str:
    """Where the running daemon serves its metrics; empty if it does not, or does not answer."""
    try:
        return str(status().get("metrics_url") or "")
    except CharreplError:
        return ""


def check_restart() -> None:
    """Returns if the daemon may be restarted: nobody is typing, or it does not answer.

    Raises CharreplError if somebody is typing.
    """
    try:
        found = status()
    except CharreplError:
        return  # it does not run, or does not work: a restart helps
    refusal = status_report.refusal(found)
    if refusal:
        raise CharreplError(refusal)


def older_runs() -> bool:
    """Whether a daemon with an older protocol version runs, which this program may replace.

    Raises CharreplError if it is newer, if somebody uses it, or if it does not say.
    """
    if running() is None:
        return False
    found = status()
    if found["protocol"] > protocol.PROTOCOL:
        raise CharreplError(
            f"the running daemon is newer (charrepl {found['version']}): end this program and start it again"
        )
    refusal = status_report.refusal(found)
    if found["protocol"] < protocol.PROTOCOL and refusal:
        raise CharreplError(f"the running daemon is older, and {refusal}")
    return bool(found["protocol"] < protocol.PROTOCOL)


def restart(arguments: list[str]) -> RunningDaemon:
    """Stops the running daemon, if there is one, and starts one with these arguments of `start`.

    Raises CharreplError if that is impossible.
    """
    for _ in range(3):
        stop()
        state, daemon = start(arguments)
        if state == "started":
            return daemon
        # An open prompt started a daemon first, without these options.
    raise CharreplError("another program keeps starting the daemon: close open prompts and try again")


def unit() -> str:
    """The systemd unit that runs the daemon; empty if none does."""
    found = running()
    return "" if found is None else found.unit
