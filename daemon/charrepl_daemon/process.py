"""The daemon as a process: one at a time, started, watched and stopped from other processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

import filelock
import msgspec

from charrepl import launch, paths, protocol
from charrepl.errors import CharreplError, DaemonUnavailableError, reason

log = logging.getLogger(__name__)

START_TIMEOUT_S = 170.0
_LOCK_S = 0.5
_TERM_AFTER_S = 5.0
_KILL_AFTER_S = 5.0
_READY = "ready"
_ANSWER_S = 3.0


class Running(msgspec.Struct, frozen=True):
    """What the status file says of the daemon that wrote it."""

    pid: int
    endpoint: str


def running() -> Running | None:
    """The daemon that holds the lock, if any. A status file without one is stale, and ignored."""
    if not _locked():
        return None
    try:
        return msgspec.json.decode(paths.status_file().read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return Running(pid=0, endpoint=paths.endpoint())  # it is about to write it


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


def _wait_unlocked(timeout_s: float) -> bool:
    """Whether the daemon let go of its lock, as it does by ending in whatever way, in that time."""
    lock = filelock.FileLock(paths.lock_file(), mode=0o600)
    try:
        lock.acquire(timeout=timeout_s, poll_interval=0.02)
    except filelock.Timeout:
        return False
    lock.release()
    return True


# Starting


def start(arguments: list[str]) -> tuple[Literal["started", "running"], Running]:
    """Spawns a daemon and waits until it is ready; one that runs already is left alone.

    Raises CharreplError with the daemon's own reason if it does not get ready.
    """
    paths.private_dir(paths.runtime_dir())
    settled = _settled()
    if settled is not None:
        return "running", settled
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "charrepl_daemon", "start", "--foreground", *arguments]
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
        )
    finally:
        os.close(write_end)
        if output != subprocess.DEVNULL:
            os.close(output)
    try:
        said = _read_line(read_end, START_TIMEOUT_S)
    finally:
        os.close(read_end)
    if said == _READY:
        return "started", Running(child.pid, paths.endpoint())
    if said is None:
        child.terminate()
        raise CharreplError(f"the daemon was not ready after {START_TIMEOUT_S:.0f} s: {_see_log()}")
    if not said:
        code = child.wait()
        raise CharreplError(f"the daemon ended with status {code} before it was ready: {_see_log()}")
    settled = _settled()
    if settled is not None:  # another start was faster
        return "running", settled
    raise CharreplError(said)


def _settled() -> Running | None:
    """The daemon that runs already, once it answers; None if none does, or it ends meanwhile.

    So two starts at once both report the one that won, ready. Raises CharreplError if it hangs.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := running()) is not None:
        from charrepl.client import Client  # zmq: only where there is something to ask

        with contextlib.suppress(CharreplError), Client(autostart=False) as client:
            status = client.status()
            if status["ready"]:
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


def _read_line(descriptor: int, timeout_s: float) -> str | None:
    """What the daemon said through its pipe; empty if it ended, None if it said nothing in time."""
    import select

    deadline, said = time.monotonic() + timeout_s, b""
    while not said.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        piece = os.read(descriptor, 65_536)
        if not piece:
            break
        said += piece
    return said.decode(errors="replace").strip()


# Being it


def be(*, debug: bool = False, **settings: Any) -> NoReturn:
    """As `serve`, and ends this process, whatever its other threads are doing.

    A program that is being compiled on another thread crashes the interpreter's own way out.
    """
    code = 0
    try:
        serve(**settings)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        if debug or not isinstance(error, CharreplError | OSError):
            traceback.print_exc()
        else:
            print(f"Error: {error if isinstance(error, CharreplError) else reason(error)}", file=sys.stderr)
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve(
    *,
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: str,
    ready_fd: int | None,
    endpoint: str | None = None,
) -> None:
    """Is the daemon, until it is stopped. Raises CharreplError if it cannot be, or one runs already."""
    os.umask(0o077)
    tell = _Teller(ready_fd)
    try:
        paths.private_dir(paths.runtime_dir())
        with _lock():
            # At once: until then the file names a daemon of before, and a pid that may be anyone's.
            _write_status(Running(os.getpid(), paths.endpoint()))
            _log_to_file(also_here=ready_fd is None)
            _serve(model, idle_minutes, cache_mb, max_models, precision, endpoint, tell)
    except CharreplError as error:
        tell(str(error))
        raise
    finally:
        tell.close()


class _Teller:
    """The pipe to whoever started us; None where nobody waits."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, line: str) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # whoever started us has given up
                os.write(self._descriptor, line.encode() + b"\n")
            self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    lock = filelock.FileLock(paths.lock_file(), mode=0o600)
    try:
        # Not at the first try: a `status` looks whether it is free by holding it for a moment.
        lock.acquire(timeout=_LOCK_S, poll_interval=0.02)
    except filelock.Timeout:
        found = running()
        pid = f" (pid {found.pid})" if found and found.pid else ""
        raise CharreplError(f"a daemon is already running{pid}: charrepl-daemon stop ends it") from None
    except OSError as error:
        raise CharreplError(f"cannot lock {paths.lock_file()}: {reason(error)}") from None
    try:
        yield
    finally:
        lock.release()


def _log_to_file(*, also_here: bool) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler()] if also_here else []
    try:
        paths.log_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(
            logging.handlers.RotatingFileHandler(paths.log_file(), maxBytes=1 << 20, backupCount=3)
        )
    except OSError as error:
        print(f"no log: {reason(error)}", file=sys.stderr)
    logging.raiseExceptions = False  # a full disk must not fill standard error with tracebacks
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.getLogger("jax").setLevel(logging.WARNING)
    logging.getLogger("absl").setLevel(logging.WARNING)


def _serve(
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: Any,
    network_endpoint: str | None,
    tell: Callable[[str], None],
) -> None:
    from charrepl_daemon.security import Network

    network = Network(network_endpoint) if network_endpoint else None
    # Imported here, under the lock: a start that finds a daemon running need not wait for jax.
    from charrepl_train import device

    device.prepare()
    from charrepl_daemon.scheduler import Scheduler
    from charrepl_daemon.server import Server

    endpoint = paths.endpoint()
    Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)  # stale: the lock is ours
    scheduler = Scheduler(most_models=max_models, cache_bytes=cache_mb << 20, precision=precision)
    server = Server(
        endpoint,
        scheduler,
        model=model,
        device=device.describe(),
        idle_s=None if idle_minutes is None else 60 * idle_minutes,
        network=network,
    )
    server.bind()
    # The thread that sends would wait for the one that computes for 5 ms, the default: longer than a piece.
    sys.setswitchinterval(0.0005)
    scheduler.start()
    log.info("started, pid %d, on %s", os.getpid(), device.describe())
    try:
        asyncio.run(_until_stopped(server, tell))
    finally:
        for file in (paths.status_file(), Path(endpoint.removeprefix("ipc://"))):
            file.unlink(missing_ok=True)
        log.info("stopped")


async def _until_stopped(server: Any, tell: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.run(lambda: tell(_READY))


def _write_status(status: Running) -> None:
    temporary = paths.status_file().with_suffix(".new")
    try:
        temporary.write_bytes(msgspec.json.encode(status))
        temporary.replace(paths.status_file())
    except OSError as error:
        # Only `stop` of a daemon that hangs needs it.
        log.warning("cannot write %s: %s", paths.status_file(), reason(error))


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
        if _wait_unlocked(_KILL_AFTER_S):
            return found
    raise CharreplError(f"the daemon (pid {found.pid}) does not end: kill it by hand")


def ask_to_stop(endpoint: str | None = None) -> None:
    """Asks the daemon at an endpoint, or else this user's own, to drain and exit.

    Raises CharreplError if it does not answer or refuses.
    """
    from charrepl.client import Client

    with Client(endpoint=endpoint, autostart=False) as client:
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
        raise DaemonUnavailableError("no daemon is running: start it with charrepl-daemon start")
    if not launch.is_listening(found.endpoint):
        raise DaemonUnavailableError(f"the daemon (pid {found.pid}) is starting: try again in a moment")
    with Client(autostart=False) as client:
        return client.status()
