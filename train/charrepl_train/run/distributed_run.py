"""Several processes, on one machine or many, that train one model: how they meet, agree and end together.

JAX connects them, and its service notices one that is gone. What JAX does then, and where they do not
meet at all, is abort() after a page of its own log: here each process says one line instead and ends with 1.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TextIO

import click
import msgspec

from charrepl.errors import CharreplError, reason
from charrepl.system import nonblocking_files
from charrepl.system.ignored_signals import heeded
from charrepl.system.standard_streams import echo
from charrepl_train.hyperparameters import Config
from charrepl_train.run.interruption import ENDING, EndedError

if TYPE_CHECKING:
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text.corpus import Text

_JOIN_S = 120  # how long processes wait for each other at the start: some nodes take a minute to import jax
_SILENCE_S = 60  # without a sign of life, after which a process counts as dead
_LEAVE_S = 300  # how long one that is done waits for the others: one of them may be saving
_REPORTED_S = 10  # how long an abort waits for the line that says what went wrong

_AGAIN = "see what it said, and start all of them again, with --resume once something has been saved"


class Group(NamedTuple):
    """Where processes meet. What is None, JAX asks Slurm, Open MPI or whatever else started them."""

    coordinator: str | None = None  # HOST:PORT of process 0
    processes: int | None = None
    process_id: int | None = None


def group(
    coordinator: str | None, processes: int | None, process_id: int | None, *, distributed: bool
) -> Group | None:
    """The group that options of the command line name, None if it is this process alone.

    Raises click.UsageError if they do not go together.
    """
    given = (coordinator, processes, process_id)
    if all(value is None for value in given):
        return Group() if distributed else None
    if coordinator is None or processes is None or process_id is None:
        raise click.UsageError("--coordinator, --processes and --process-id go together: give all three")
    if distributed:
        raise click.UsageError("choose --distributed or --coordinator, not both")
    if process_id >= processes:
        raise click.UsageError(f"--process-id counts from 0: the last of {processes} is {processes - 1}")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.UsageError(f"--coordinator is HOST:PORT, as in 10.0.0.1:7654, not {coordinator}")
    return Group(coordinator, processes, process_id)


@contextlib.contextmanager
def joined(
    members: Group | None, *, threads: int | None = None, device: str = "auto", debug: bool
) -> Iterator[bool]:
    """Whether this process leads; one without others does. All are connected in the `with` block.

    threads, device: as in `jax_setup.prepare`, as the processes meet on their devices.
    A failure in the block ends the process as soon as it has been reported, and thereby the others: each
    with one line. Raises CharreplError if they do not meet, or if one is lost.
    """
    if members is None:
        yield True
        return
    from charrepl_train.devices import jax_setup

    jax_setup.prepare(threads=threads, device=device)
    import jax

    lines = _Lines(debug=debug)
    try:
        _meet(members, lines)
        number, of = jax.process_index(), jax.process_count()
        lines.at_abort(f"another of the {of} processes has ended or cannot be reached: {_AGAIN}")
        if number:
            echo(f"Process {number} of {of} has joined; process 0 reports.", err=True)
        try:
            yield number == 0
        except click.exceptions.Exit:  # interrupted, and so are all
            jax.distributed.shutdown()
            raise
        jax.distributed.shutdown()
    except click.exceptions.Exit:
        lines.close()
        raise
    except BaseException as error:
        # Not the ordinary way out, on which jax waits for the others: they wait for this one.
        stopped = error.code if isinstance(error, EndedError) else 130
        atexit.register(lines.leave, stopped if isinstance(error, KeyboardInterrupt) else 1)
        lost = lines.take()
        if isinstance(error, Exception) and _is_loss(error):
            if not lost:  # an abort of another thread says it just now, and then ends the process
                time.sleep(_REPORTED_S)
            raise CharreplError(lost) from error
        raise
    lines.close()


def _meet(members: Group, lines: _Lines) -> None:
    import jax

    where = members.coordinator or "the address that was found"
    if members.coordinator is not None:
        _check_address(members.coordinator, listens=members.process_id == 0)
        if members.process_id == 0:
            echo(f"Waiting for {members.processes} processes at {where}.", err=True)
    lines.at_abort(
        f"not all processes met at {where} within {_JOIN_S} s: check that all of them run, that it is the "
        "address of process 0, that its port can be reached, and that each has its own --process-id"
    )
    # JAX would catch SIGTERM to tell the others of it; the training loop does that, for Ctrl-C too.
    jax.config.update("jax_enable_preemption_service", False)
    # Python's handlers would wait for the connection.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in heeded(ENDING)}
    try:
        jax.distributed.initialize(
            members.coordinator,
            members.processes,
            members.process_id,
            cluster_detection_method=None if members.coordinator is None else "deactivate",
            initialization_timeout=_JOIN_S,
            heartbeat_timeout_seconds=_SILENCE_S,
            shutdown_timeout_seconds=_LEAVE_S,
        )
    except (ValueError, KeyError):  # what is None was not found
        raise CharreplError(
            "no cluster was found to train on: start the processes with Slurm's srun or Open MPI's mpirun, "
            "or give --coordinator, --processes and --process-id"
        ) from None
    except RuntimeError as error:  # jaxlib's own
        raise CharreplError(
            f"the processes could not meet at {where} ({reason(error)}): "
            "check that it is the address of process 0"
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        raise CharreplError(
            f"the processes have different numbers of devices ({', '.join(map(str, counts.values()))}): "
            "give each as many, as with CUDA_VISIBLE_DEVICES"
        )
    from charrepl_train.devices import data_parallel

    data_parallel.all_gather(b"\0")  # connects them: from here on a loss is noticed immediately


def _check_address(address: str, *, listens: bool) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except OSError as error:
        raise CharreplError(
            f"the coordinator's host {host} is not known here ({reason(error)}): "
            "give --coordinator the address of process 0"
        ) from None
    if listens:  # jaxlib 0.10.2 crashes if it cannot
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        try:
            socket.create_server(("", int(port)), family=family, dualstack_ipv6=both).close()
        except OSError as error:
            raise CharreplError(
                f"process 0 cannot listen at {address} ({os.strerror(error.errno or 0)}): "
                "choose a free port of this machine"
            ) from None


def check_same(text: Text) -> None:
    """Raises CharreplError, in every process, if not all of them have read the same text."""
    from charrepl_train.devices import data_parallel

    digests = data_parallel.all_gather(bytes.fromhex(text.digest))
    for number, digest in enumerate(digests):
        if digest != digests[0]:
            raise CharreplError(
                f"process {number} has read another text than process 0: "
                "give every process the same files, unchanged and in the same order"
            )


def follow(leader: Trainer | None, directory: Path, text: Text) -> Trainer:
    """The leader's trainer; in the other processes, which pass None, one that takes the same steps.

    They need no access to the leader's directory: its settings come from the leader here, its weights when
    training starts, and they write nothing.
    """
    from charrepl_train.devices import data_parallel
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text import split

    if leader is not None and leader.devices.alone:
        return leader
    config, run = (msgspec.json.encode(x) for x in (leader.config, leader.run)) if leader else (b"", b"")
    config, run = data_parallel.broadcast(config), data_parallel.broadcast(run)
    if leader is not None:
        return leader
    kept, its_run = msgspec.json.decode(config, type=Config), msgspec.json.decode(run, type=Run)
    return Trainer(directory, kept, its_run, text.corpus(kept.training, rule=split.kept(its_run.split)))


_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)


class _Lines:
    """Gives standard output and standard error to Python alone, and an abort() one line.

    jaxlib and Gloo write to both from threads of their own, at length and about every connection. Nothing is
    changed if `debug` asks to see all. Close it, but not if the process ends with an error: jaxlib may write
    about that too.
    """

    def __init__(self, *, debug: bool) -> None:
        self._at_abort: list[str] = []
        self._before = sys.stdout, sys.stderr
        self._on = not debug
        if self._on:
            sys.stdout, sys.stderr = _moved(sys.stdout, 1), _moved(sys.stderr, 2)
            self._error = sys.stderr.fileno()
            # Not Python's own handler: that runs after abort() has returned, which it never does.
            self._handler = _Handler(self._end)
            ctypes.CDLL(None).signal(signal.SIGABRT, self._handler)

    def at_abort(self, line: str) -> None:
        """Has an abort() say this line."""
        self._at_abort = [line]

    def take(self) -> str:
        """What an abort() says, for whoever asks first, in whichever thread; then it says nothing."""
        try:
            return self._at_abort.pop()
        except IndexError:
            return ""

    def close(self) -> None:
        """Puts everything back."""
        if self._on:
            ctypes.CDLL(None).signal(signal.SIGABRT, None)
            for number, stream in enumerate((sys.stdout, sys.stderr), 1):
                stream.flush()
                os.dup2(stream.fileno(), number)
                stream.close()
            sys.stdout, sys.stderr = self._before
            self._on = False

    def leave(self, code: int) -> NoReturn:
        """Ends the process here and now."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    def _end(self, number: int) -> None:
        if line := self.take():
            os.write(self._error, f"Error: {line}\n".encode())
        elif threading.current_thread() is not threading.main_thread():
            time.sleep(_REPORTED_S)  # the main thread is reporting an error, and then ends the process
        os._exit(1)


def _moved(stream: TextIO, number: int) -> TextIO:
    """A stream to where the file `number` went, which from now on goes nowhere."""
    stream.flush()
    kept = os.dup(number)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
    raw = nonblocking_files.Writer(kept, stream.name, fails=number == 1, closes=True)
    return nonblocking_files.patient(stream, raw, by_line=True)


def _is_loss(error: Exception) -> bool:
    """Whether an error says that another process did not answer."""
    said = f"{error} {error.__cause__}".lower()
    return any(word in said for word in ("gloo", "nccl", "coordination", "heartbeat"))
