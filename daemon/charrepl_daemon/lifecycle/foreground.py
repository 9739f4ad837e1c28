"""The daemon's own process, from taking the lock to its end."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from charrepl import resource_shortage
from charrepl.errors import CharreplError, reason
from charrepl.system import interpreter, paths
from charrepl.system.ignored_signals import heeded
from charrepl.system.standard_streams import echo
from charrepl_daemon.lifecycle import control
from charrepl_daemon.process import failures, process_ids, readiness, status_file
from charrepl_daemon.process.memory import use_few_arenas
from charrepl_daemon.process.ownership import Ownership
from charrepl_daemon.process.readiness import READY, TAKEN, ReadinessNotifier, notify
from charrepl_daemon.process.status_file import RunningDaemon
from charrepl_daemon.process.write_failures import LogFile, WriteFailures

if TYPE_CHECKING:
    from charrepl_daemon.model.precision import PrecisionChoice
    from charrepl_daemon.serving.server import Server

log = logging.getLogger(__name__)


def run_daemon(*, debug: bool = False, **settings: Any) -> NoReturn:
    """As `serve`, then ends this process, whatever its other threads are doing.

    The interpreter's normal exit crashes while another thread compiles a program.
    """
    faulthandler.enable()  # a crash writes a traceback to the log, which has no user data
    _leave_no_core()
    use_few_arenas()
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
                echo(f"Error: {error}", err=True)
        code = 1
    _leave(code)


def _leave_no_core() -> None:
    """Prevents core dumps, because they would contain what you type."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Linux ignores the limit if a program such as systemd-coredump takes the dumps.
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0")


def _leave(code: int) -> NoReturn:
    for flush in (logging.shutdown, sys.stdout.flush, sys.stderr.flush):
        with contextlib.suppress(OSError):
            flush()
    os._exit(code)


def _thread_failed(failed: threading.ExceptHookArgs, *, stopping: bool) -> None:
    """Ends the daemon if the device's thread has failed, because nobody would get an answer any more.

    Its clients start another daemon, whose `status` says what happened to this one.
    """
    name = failed.thread.name if failed.thread is not None else "unknown"
    error = failed.exc_value
    log.critical("the thread %s failed", name, exc_info=error if error is not None else True)
    if name == failures.DEVICE_THREAD and not stopping:
        _leave(1)


def serve(*, ready_fd: int | None, **options: Any) -> None:
    """Runs the daemon until it is stopped. Raises CharreplError if that is impossible or one runs already."""
    os.umask(0o077)
    tell = ReadinessNotifier(ready_fd)
    unwritten = WriteFailures()
    try:
        pid = os.getpid()
        status = RunningDaemon(
            pid, paths.endpoint(), birth=process_ids.birth(pid), options=options, unit=readiness.unit()
        )
        ownership = Ownership(status, unwritten=unwritten.note)
        ownership.take()
        try:
            _serve_alone(ownership, tell, unwritten, also_here=ready_fd is None, **options)
        finally:
            ownership.release()
    except _NoGpuError as error:
        _go_over_to_the_processor(ready_fd, error.options)
    except CharreplError as error:
        tell(TAKEN if error.code == TAKEN else str(error))
        raise
    finally:
        tell.close()


class _NoGpuError(CharreplError):
    """The GPU failed, or was full, before the daemon was ready. `options`: of one that does without."""

    def __init__(self, error: CharreplError, options: dict[str, Any]) -> None:
        super().__init__(str(error), code=error.code)
        self.options = options


def _go_over_to_the_processor(ready_fd: int | None, options: dict[str, Any]) -> NoReturn:
    """Starts this process again, whoever waits for it: a runtime cannot leave its device."""
    arguments = control.as_arguments(options)
    if ready_fd is not None:
        arguments += ["--ready-fd", str(ready_fd)]
    command = interpreter.command("charrepl_daemon", "start", "--foreground", *arguments)
    os.execve(command[0], command, interpreter.environment())


def _serve_alone(
    ownership: Ownership,
    tell: ReadinessNotifier,
    unwritten: WriteFailures,
    *,
    also_here: bool,
    **options: Any,
) -> None:
    """Runs the daemon, while this process holds the lock."""
    predecessor = status_file.left_behind()

    def leave(number: int, frame: object) -> None:
        # An exception here could get lost in an import, or crash it.
        ownership.leave()
        tell("the daemon was stopped before it was ready")
        os._exit(130 if number == signal.SIGINT else 1)

    for number in heeded([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]):
        signal.signal(number, leave)  # until there is an event loop to tell
    # Immediately: until now the file names an earlier daemon, and a pid that may belong to any process.
    ownership.announce()
    try:
        _log_to_file(unwritten, also_here=also_here)
        _serve(ownership, tell, predecessor, unwritten, **options)
    except CharreplError as error:
        if ownership.has_left:  # it was ready, and has given a reason
            raise
        without = _options_without_gpu(error, options)
        ownership.leave(error if without else None)
        if without is None:
            raise
        raise _NoGpuError(error, without) from error
    except KeyboardInterrupt:
        ownership.leave()
        raise
    except OSError as error:
        ownership.leave()
        if short := resource_shortage.cause(error):
            raise CharreplError(short) from error
        where = f" ({error.filename})" if error.filename else ""
        raise CharreplError(
            f"the daemon cannot run: {reason(error)}{where}; see {paths.log_file()}"
        ) from error
    except Exception as error:
        short = resource_shortage.cause(error)
        if short is None or ownership.has_left:
            raise  # the status file stays, as a sign of a crash
        ownership.leave()
        raise CharreplError(short) from error


def _log_to_file(unwritten: WriteFailures, *, also_here: bool) -> None:
    handlers: list[logging.Handler] = [unwritten, *([logging.StreamHandler()] if also_here else [])]
    try:
        paths.log_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(LogFile(paths.log_file(), unwritten))
    except OSError as error:
        unwritten.note(paths.log_file(), reason(error))
    logging.raiseExceptions = False  # a full disk must not fill standard error with tracebacks
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.getLogger("jax").setLevel(logging.WARNING)
    logging.getLogger("absl").setLevel(logging.WARNING)


def _serve(
    ownership: Ownership,
    tell: Callable[[str], None],
    predecessor: status_file.Predecessor | None,
    unwritten: WriteFailures,
    *,
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: PrecisionChoice,
    metrics_port: str | None,
    device: str = "auto",
    endpoint: str | None = None,
) -> None:
    from charrepl_daemon.sockets.network_guests import Network

    network = Network(endpoint) if endpoint else None
    # Imported here, under the lock: a start that finds a daemon running need not wait for jax.
    from charrepl_train.devices import jax_setup

    jax_setup.prepare(cache=False, device=device)  # `compiled_programs.py` has its own cache
    jax_setup.check_device(device)
    from charrepl_daemon.serving.scheduler import Scheduler
    from charrepl_daemon.serving.server import Server

    scheduler = Scheduler(most_models=max_models, cache_bytes=cache_mb << 20, precision=precision)
    server = Server(
        ownership.listener,
        scheduler,
        line_listener=ownership.line_listener,
        model=model,
        device=jax_setup.describe(),
        idle_s=None if idle_minutes is None else 60 * idle_minutes,
        network=network,
        predecessor=msgspec.to_builtins(predecessor),
        not_written=unwritten.report,
    )
    threading.excepthook = lambda failed: _thread_failed(failed, stopping=server.stopping)
    server.bind()
    # With the default, the sending thread would wait 5 ms for the computing one: longer than a piece takes.
    sys.setswitchinterval(0.0005)
    # When the collector looks through all imported modules, all threads stop for 60 ms. So they are frozen.
    # Models are loaded later, and can be freed.
    gc.freeze()
    scheduler.start()
    log.info("started, pid %d, on %s", os.getpid(), jax_setup.describe())
    if predecessor is not None:
        log.warning("the daemon before this one: %s", predecessor)
    try:
        asyncio.run(_until_stopped(server, ownership, metrics_port, tell))
    finally:
        log.info("stopped")


async def _until_stopped(
    server: Server, ownership: Ownership, metrics_port: str | None, tell: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()
    for number in heeded([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGCONT, server.continued)
    loop.set_exception_handler(server.supervision.callback_failed)

    def ready() -> None:
        tell(READY)
        notify("READY=1")

    server.supervision.keep_up(ownership.watch(server.listen))
    async with contextlib.AsyncExitStack() as stack:
        if metrics_port is not None:
            # This imports Prometheus's library, which is not needed otherwise.
            from charrepl_daemon.metrics import http_endpoint, prometheus_text

            status = server.status
            status.metrics_url = await stack.enter_async_context(
                http_endpoint.serving(
                    metrics_port, lambda: prometheus_text.page(status.tell(), status.latencies())
                )
            )
        await server.run(
            ready=ready,
            ending=lambda: notify("STOPPING=1"),
            leaving=lambda: _leave_to_the_next(ownership, server.supervision.failure),
        )


def _leave_to_the_next(ownership: Ownership, failure: BaseException | None) -> None:
    """Leaves. If a GPU is lost that nobody insisted on, the next daemon computes on the processor."""
    without = _options_without_gpu(failure, ownership.status.options)
    if without is not None:
        ownership.status = msgspec.structs.replace(ownership.status, options=without)
    ownership.leave(failure)


def _options_without_gpu(failure: BaseException | None, options: dict[str, Any]) -> dict[str, Any] | None:
    """Those of the next daemon, if a GPU has failed that nobody insisted on; else None."""
    from charrepl_train.devices import jax_setup

    failed = isinstance(failure, CharreplError) and failure.code == "device"
    if not failed or options.get("device", "auto") != "auto" or not jax_setup.has_gpu():
        return None
    log.warning("the next daemon computes on the processor: charrepl-daemon restart --device auto asks again")
    return {**options, "device": "cpu"}
