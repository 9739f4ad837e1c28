"""Being the daemon: what its own process does, from taking the lock to leaving."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import filelock
import msgspec

from charrepl import paths
from charrepl.errors import CharreplError, reason
from charrepl.ignored_signals import heeded
from charrepl_daemon import record
from charrepl_daemon.process import running
from charrepl_daemon.readiness import READY, TAKEN, Teller, notify
from charrepl_daemon.record import Running
from charrepl_daemon.unwritten import LogFile, Unwritten

if TYPE_CHECKING:
    from charrepl_daemon.server import Server

log = logging.getLogger(__name__)

_LOCK_S = 0.5
DEVICE_THREAD = "device"  # as `scheduler.py` calls it


def be(*, debug: bool = False, **settings: Any) -> NoReturn:
    """As `serve`, and ends this process, whatever its other threads are doing.

    A program that is being compiled on another thread crashes the interpreter's own way out.
    """
    faulthandler.enable()  # a crash leaves its traceback, of code alone, in the log
    code = 0
    try:
        serve(**settings)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        with contextlib.suppress(OSError):  # standard error may lead to a full disk
            if debug or not isinstance(error, CharreplError):
                traceback.print_exc()
            else:
                print(f"Error: {error}", file=sys.stderr)
        code = 1
    _leave(code)


def _leave(code: int) -> NoReturn:
    for flush in (logging.shutdown, sys.stdout.flush, sys.stderr.flush):
        with contextlib.suppress(OSError):
            flush()
    os._exit(code)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Ends the daemon if the thread that writes has failed: nobody would be answered any more.

    Its clients start another, which tells in `status` what became of this one.
    """
    name = failed.thread.name if failed.thread is not None else "unknown"
    error = failed.exc_value
    log.critical("the thread %s failed", name, exc_info=error if error is not None else True)
    if name == DEVICE_THREAD:
        _leave(1)


def serve(
    *,
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: str,
    metrics_port: str | None,
    ready_fd: int | None,
    endpoint: str | None = None,
) -> None:
    """Is the daemon, until it is stopped. Raises CharreplError if it cannot be, or one runs already."""
    os.umask(0o077)
    tell = Teller(ready_fd)
    try:
        paths.private_dir(paths.runtime_dir())
        with _lock():
            predecessor = record.left_behind()

            def leave(number: int, frame: object) -> None:
                # An exception could be lost in whatever is being imported.
                record.remove()
                tell("the daemon was stopped before it was ready")
                os._exit(1)

            for number in heeded([signal.SIGTERM]):
                signal.signal(number, leave)  # until there is an event loop to tell
            # At once: until then the file names a daemon of before, and a pid that may be anyone's.
            failed = record.write(Running(os.getpid(), paths.endpoint()))
            unwritten = Unwritten()
            if failed:
                unwritten.note(paths.status_file(), failed)
            try:
                _log_to_file(unwritten, also_here=ready_fd is None)
                _serve(
                    model,
                    idle_minutes,
                    {"most_models": max_models, "cache_bytes": cache_mb << 20, "precision": precision},
                    endpoint,
                    metrics_port,
                    tell,
                    predecessor,
                    unwritten,
                )
            except (CharreplError, KeyboardInterrupt):
                record.remove()
                raise
            except OSError as error:
                record.remove()
                where = f" ({error.filename})" if error.filename else ""
                raise CharreplError(
                    f"the daemon cannot run: {reason(error)}{where}; see {paths.log_file()}"
                ) from error
            record.remove()  # after any other error it stays, and tells of a crash
    except CharreplError as error:
        tell(TAKEN if error.code == TAKEN else str(error))
        raise
    finally:
        tell.close()


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    lock = filelock.FileLock(paths.lock_file(), mode=0o600)
    try:
        # Not at the first try: a `status` looks whether it is free by holding it for a moment.
        lock.acquire(timeout=_LOCK_S, poll_interval=0.02)
    except filelock.Timeout:
        found = running()
        pid = f" (pid {found.pid})" if found and found.pid else ""
        raise CharreplError(
            f"a daemon is already running{pid}: charrepl-daemon stop ends it", code=TAKEN
        ) from None
    except OSError as error:
        raise CharreplError(f"cannot lock {paths.lock_file()}: {reason(error)}") from None
    try:
        yield
    finally:
        lock.release()


def _log_to_file(unwritten: Unwritten, *, also_here: bool) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler()] if also_here else []
    try:
        paths.log_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(LogFile(paths.log_file(), unwritten))
    except OSError as error:
        unwritten.note(paths.log_file(), reason(error))
        handlers.append(logging.NullHandler())  # without any, logging would make one of its own
    logging.raiseExceptions = False  # a full disk must not fill standard error with tracebacks
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.getLogger("jax").setLevel(logging.WARNING)
    logging.getLogger("absl").setLevel(logging.WARNING)


def _serve(
    model: str,
    idle_minutes: float | None,
    scheduling: dict[str, Any],
    network_endpoint: str | None,
    metrics_port: str | None,
    tell: Callable[[str], None],
    predecessor: record.Predecessor | None,
    unwritten: Unwritten,
) -> None:
    from charrepl_daemon.security import Network

    network = Network(network_endpoint) if network_endpoint else None
    # Imported here, under the lock: a start that finds a daemon running need not wait for jax.
    from charrepl_train import device

    device.prepare(cache=False)  # `kept.py` has one of its own
    from charrepl_daemon import kept
    from charrepl_daemon.scheduler import Scheduler
    from charrepl_daemon.server import Server

    kept.note = unwritten.note

    endpoint = paths.endpoint()
    Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)  # stale: the lock is ours
    threading.excepthook = _thread_failed
    scheduler = Scheduler(**scheduling)
    server = Server(
        endpoint,
        scheduler,
        model=model,
        device=device.describe(),
        idle_s=None if idle_minutes is None else 60 * idle_minutes,
        network=network,
    )
    server.standing["predecessor"] = msgspec.to_builtins(predecessor)
    server.unwritten = unwritten.report
    server.bind()
    # The thread that sends would wait for the one that computes for 5 ms, the default: longer than a piece.
    sys.setswitchinterval(0.0005)
    # All stand still while the collector looks through what was imported, 60 ms. What is loaded may go again.
    gc.freeze()
    scheduler.start()
    log.info("started, pid %d, on %s", os.getpid(), device.describe())
    if predecessor is not None:
        log.warning("the daemon before this one: %s", predecessor)
    try:
        asyncio.run(_until_stopped(server, metrics_port, tell))
    finally:
        Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
        log.info("stopped")


async def _until_stopped(server: Server, metrics_port: str | None, tell: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in heeded([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGCONT, server.continued)

    def ready() -> None:
        tell(READY)
        notify("READY=1")

    beating = asyncio.create_task(record.beat())
    async with contextlib.AsyncExitStack() as stack:
        if metrics_port is not None:
            from charrepl_daemon import responder  # asyncio's streams: only where they are asked for

            server.standing["metrics_url"] = await stack.enter_async_context(
                responder.serving(metrics_port, server.exposition)
            )
        await server.run(ready, lambda: notify("STOPPING=1"))
    beating.cancel()
