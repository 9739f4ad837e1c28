"""How a daemon may end, hang or run out of something, and that whoever types finds it, or the next one.

The tests of this file share their places, and each its daemon with the next if it leaves one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from charrepl.client import AsyncClient, Client, connection
from charrepl.errors import CharreplError, ConnectionLostError, DaemonUnavailableError
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl_daemon.lifecycle import control
from charrepl_daemon.process import status_file
from tests.charrepl_daemon.halting import halt
from tests.charrepl_daemon.wire import Wire, complete, finals, is_final
from tests.waiting import DEADLINE_S, until

TEXT, NEXT = "every cup is wa", "rm"


def status_of(daemon) -> dict:
    return json.loads(daemon("status", "--json").stdout)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert control._wait_unlocked(10)


def serves_after(pid: int, how: str = "ended unexpectedly") -> None:
    """The next honest request is answered, by another daemon that tells of the one before."""
    with Client() as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        status = client.status()
    assert status["pid"] != pid
    assert (status["predecessor"]["pid"], status["predecessor"]["how"]) == (pid, how)


# Killed


def test_what_a_killed_daemon_left_behind_is_no_obstacle_and_tells_how_it_ended(living):
    pid = status_of(living)["pid"]
    kill(pid)
    assert paths.status_file().exists()
    assert Path(paths.endpoint().removeprefix("ipc://")).exists()
    told = f"pid {pid}, ended unexpectedly; it was last seen at 20"
    gone = living("status")
    assert gone.returncode == 1
    assert told in gone.stderr
    assert gone.stderr.count("\n") == 1
    assert living("start").returncode == 0
    serves_after(pid)
    assert f"the daemon before this one: {told}" in living("status").stdout
    assert told in living("logs").stdout
    # It leaves in order, and so there is nothing to tell.
    assert living("stop").returncode == 0
    assert status_file.left_behind() is None


def test_a_client_finds_the_daemon_after_the_one_that_was_killed_idle(living):
    with Client() as client:
        before = client.complete("every cup").text
        pid = client.status()["pid"]
        kill(pid)
        assert client.complete("every cup").text == before
    serves_after(pid)


def test_a_daemon_killed_while_it_answers_is_missed_and_replaced(living):
    with Client() as client:
        passage = client.sample("COOK:\n", max_chars=1_000_000)
        next(passage)
        pid = status_of(living)["pid"]
        kill(pid)
        with pytest.raises(DaemonUnavailableError, match="the daemon died while answering: run the command"):
            for _ in passage:
                pass
        assert client.complete(TEXT).text.startswith(NEXT)
    serves_after(pid)


def test_who_waits_for_a_killed_daemon_is_told_though_another_is_there_already(living):
    with Client() as client, ThreadPoolExecutor() as pool:
        passage = client.sample("COOK:\n", max_chars=1_000_000)
        next(passage)
        pid = status_of(living)["pid"]
        kill(pid)
        assert living("start").returncode == 0
        told = pool.submit(lambda: "".join(passage))
        with pytest.raises(DaemonUnavailableError, match="the daemon died while answering"):
            told.result(DEADLINE_S)
    serves_after(pid)


class Killer(Client):
    """A client that halts a daemon before it asks it anything, and kills it once it has."""

    victim = 0

    def _send(self, *arguments, **options) -> None:
        pid, self.victim = self.victim, 0
        if pid:
            halt(pid)
        super()._send(*arguments, **options)
        if pid:
            kill(pid)


def test_a_daemon_that_is_gone_before_it_said_anything_has_a_successor_that_is_asked(living):
    with Killer() as client:
        pid = client.victim = client.status()["pid"]
        assert client.complete(TEXT).text.startswith(NEXT)
    serves_after(pid)


def test_a_daemon_that_still_takes_connections_as_it_ends_is_not_waited_for(living):
    """Its process closes its sockets one after the other: a connection may be taken, and then lost."""
    with Client() as client:
        kill(client.status()["pid"])
        until(client._lost)  # else it is asked first, and then not looked for at all
        path = Path(paths.endpoint().removeprefix("ipc://"))
        path.unlink()
        with socket.socket(socket.AF_UNIX) as dying, ThreadPoolExecutor() as pool:
            dying.bind(str(path))
            dying.listen()
            asked = pool.submit(lambda: client.complete(TEXT).text)
            # Whether somebody listens, the connection, and at times ZeroMQ's own attempt at the one before.
            dying.settimeout(0.1)
            taken, deadline = 0, time.monotonic() + DEADLINE_S
            while not asked.done() and time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    dying.accept()[0].close()
                    taken += 1
            assert asked.result(0).startswith(NEXT)
            assert taken >= 2


def test_who_asks_a_daemon_that_was_told_to_stop_is_answered_by_the_next(living):
    with Wire() as wire, Wire() as looking, Client() as client:
        pid = client.status()["pid"]
        wire.send({"type": "sample", "seq": 1, "text": "a", "max_chars": 1_000_000})
        wire.receive()  # it will not be done with this in the time it has
        os.kill(pid, signal.SIGTERM)
        told: dict = {}
        while told.get("code") != "stopping":  # some are answered before it has begun to
            looking.send(complete(1, TEXT))
            told = finals(looking, 1)[1]
        assert not looking.status()["ready"]
        assert client.complete(TEXT).text.startswith(NEXT)
        status = client.status()
    assert status["pid"] != pid
    assert status["predecessor"] is None


def test_without_leave_to_start_one_a_daemon_that_stops_is_said_to(living):
    with Wire() as wire, Client(autostart=False) as client:
        pid = client.status()["pid"]
        wire.send({"type": "sample", "seq": 1, "text": "a", "max_chars": 1_000_000})
        wire.receive()
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(CharreplError, match=r"the daemon is stopping|no daemon is running"):
            while client.complete(TEXT):
                pass
    assert control._wait_unlocked(10)


def test_a_request_to_end_a_daemon_that_is_gone_does_not_end_the_next_one(living):
    with Killer() as client:
        pid = client.victim = client.status()["pid"]
        with pytest.raises(DaemonUnavailableError, match="died while answering"):
            client.ask(protocol.Shutdown(seq=0))
    serves_after(pid)


def test_a_prompts_daemon_killed_while_it_answers_is_started_again_by_itself(living):
    async def type_on() -> int:
        ready = asyncio.Event()
        client = AsyncClient(on_state=lambda state: ready.set() if state.phase == "ready" else None)
        running = asyncio.create_task(client.run())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await ready.wait()
                pid = client.state.pid
                ready.clear()
                with pytest.raises(ConnectionLostError, match="died while answering: run the command again"):
                    async for _ in client.stream(protocol.Sample(seq=0, max_chars=1_000_000)):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                await ready.wait()
                reply = await client.ask(protocol.Complete(seq=0, session="s", text=TEXT))
            assert reply.text.startswith(NEXT)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.close()
        return pid

    serves_after(asyncio.run(type_on()))


# Stopped by a signal


def test_keys_typed_at_a_stopped_daemon_are_answered_when_it_goes_on(living, monkeypatch):
    with Wire() as wire:
        before = wire.status()
        halt(before["pid"])
        try:
            for seq in range(1, 51):
                wire.send(complete(seq, TEXT[: seq % len(TEXT)], stop="none"))
            wire.send(complete(51, TEXT))
            monkeypatch.setattr(connection, "ANSWER_S", 0.2)
            with pytest.raises(DaemonUnavailableError, match="does not answer: run charrepl-daemon restart"):
                control.status()
            assert not wire.socket.poll(0)
        finally:
            os.kill(before["pid"], signal.SIGCONT)
        found = finals(wire, 51)
        assert found[51]["type"] == "ghost"
        assert found[51]["text"].startswith(NEXT)
        deadline = time.monotonic() + DEADLINE_S
        while (faults := wire.status()["faults"])["stops"] == before["faults"]["stops"]:
            assert time.monotonic() < deadline
    assert faults["stops"] == before["faults"]["stops"] + 1
    assert faults["last_continued"]
    assert "stopped by a signal" in living("status").stdout


def test_a_daemon_stopped_while_it_is_asked_how_it_is_does_not_keep_the_asker(living, monkeypatch):
    with Client(autostart=False) as client:
        pid = client.status()["pid"]
        halt(pid)
        try:
            monkeypatch.setattr(connection, "ANSWER_S", 0.2)
            with pytest.raises(DaemonUnavailableError, match="does not answer"):
                client.status()
        finally:
            os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        assert client.complete(TEXT).text.startswith(NEXT)


def test_a_hung_daemon_is_ended_by_stop_all_the_same(living, monkeypatch):
    pid = status_of(living)["pid"]
    halt(pid)
    monkeypatch.setattr(control, "_ANSWER_S", 0.2)
    monkeypatch.setattr(control, "_KILL_AFTER_S", 2.0)
    stopped = control.stop()
    assert stopped is not None
    assert stopped.pid == pid
    assert control.running() is None
    serves_after(pid, "was killed by charrepl-daemon stop, which it did not answer")


def test_sigterm_answers_each_request_in_flight_and_tells_those_that_are_too_long(living):
    with Wire() as wire:
        pid = wire.status()["pid"]
        for seq in range(1, 3):
            wire.send({"type": "sample", "seq": seq, "text": "a", "max_chars": 1_000_000})
        for _ in range(2):
            wire.receive()
        for seq in range(3, 33):
            wire.send({**complete(seq, TEXT, stop="none"), "session": str(seq)})
        wire.send({"type": "sample", "seq": 33, "text": "a", "max_chars": 300})
        wire.send({"type": "status", "seq": 34})
        replies = [wire.receive()]
        while replies[-1]["seq"] != 34:  # when it is answered, those before it have arrived
            replies.append(wire.receive())
        os.kill(pid, signal.SIGTERM)
        found = {reply["seq"]: reply for reply in replies[:-1] if is_final(reply)}
        found |= finals(wire, 33 - len(found))
    told = {seq: reply for seq, reply in found.items() if reply["type"] == "error"}
    assert {1, 2} <= told.keys()  # and others only if two seconds were not enough for them
    for reply in told.values():
        assert reply["code"] == "stopping"
        assert "ask again" in reply["message"]
    assert {reply["type"] for seq, reply in found.items() if seq not in told} <= {"ghost", "chunk"}
    assert len(told) < 33
    assert control._wait_unlocked(10)
    with Client() as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        assert client.status()["predecessor"] is None  # it left in order


def test_a_daemon_that_a_client_started_leaves_when_idle(living):
    assert living("stop").returncode == 0
    assert living("start", "--idle-minutes", "0.001").returncode == 0
    assert control._wait_unlocked(20)
    assert "leaving" in living("logs").stdout


# Busy

BUSY = """
import pathlib, time
from charrepl_daemon.serving.status import Status
works = Status.tell
def busy(self, asker=None):
    while not pathlib.Path({path!r}).exists():
        time.sleep(0.01)
    return works(self, asker)
Status.tell = busy
"""


def test_what_is_being_written_is_sent_on_while_the_event_loop_is_busy(altered_daemon, tmp_path):
    free = tmp_path / "free"
    altered_daemon(BUSY.format(path=str(free)))
    with Wire() as wire:
        wire.send({"type": "sample", "seq": 1, "text": "the road ", "max_chars": 2000})
        replies = [wire.receive()]
        wire.send({"type": "status", "seq": 2})
        while not replies[-1]["final"]:
            replies.append(wire.receive())
        assert {reply["seq"] for reply in replies} == {1}
        free.touch()
        assert wire.receive()["seq"] == 2


# Failing from within

IN_THE_THREAD = """
from charrepl_daemon.serving import scheduler
works = scheduler.Scheduler._begin
def fails(self, job, engine):
    if getattr(job.request, "text", "") == "the end":
        raise MemoryError
    works(self, job, engine)
scheduler.Scheduler._begin = fails
"""
IN_THE_LOOP = """
from charrepl_daemon.serving import server
works = server.Server._answer
def fails(self, peer, through, frame):
    if b"the end" in frame:
        raise MemoryError
    works(self, peer, through, frame)
server.Server._answer = fails
"""


@pytest.mark.parametrize("failing", [IN_THE_THREAD, IN_THE_LOOP], ids=["device", "sockets"])
def test_a_daemon_whose_thread_fails_ends_and_is_replaced(altered_daemon, failing):
    daemon = altered_daemon(failing)
    with Client() as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        assert client.complete("the end").text  # the next daemon answers
        assert daemon.wait(DEADLINE_S) == 1
        assert client.complete(TEXT).text.startswith(NEXT)
    serves_after(daemon.pid)
    assert "MemoryError" in paths.log_file().read_text()


DEVICE_LOST = """
from charrepl_daemon.engine import engine
class Lost:
    def __call__(self, *arguments):
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
works = engine.Engine.step
def step(self, writings):
    if any(self.vocabulary.decode(w.tokens).endswith("the end") for w in writings):
        self._compiled = dict.fromkeys(self._compiled, Lost())
        {zeros}
    works(self, writings)
engine.Engine.step = step
"""
TWICE = DEVICE_LOST.format(zeros="pass")
AT_ONCE = DEVICE_LOST.format(zeros="self._zeros = Lost()")


@pytest.mark.parametrize(
    ("failing", "failures", "why"),
    [(TWICE, 2, "twice in a row"), (AT_ONCE, 1, "and did not come back (CUDA_ERROR_ILLEGAL_ADDRESS)")],
    ids=["twice", "for good"],
)
def test_a_daemon_whose_device_is_lost_leaves_and_the_next_one_tells_why(
    altered_daemon, failing, failures, why
):
    daemon = altered_daemon(failing)
    with Client() as client:
        for _ in range(failures):
            with pytest.raises(CharreplError, match="the device failed") as told:
                client.complete("the end")
        assert f"{why}: this daemon is ending, ask the next one" in str(told.value)
        assert daemon.wait(DEADLINE_S) == 1
    serves_after(daemon.pid, f"left: {told.value}")


A_GPU = """
from charrepl_train.devices import jax_setup
jax_setup.has_gpu = lambda: True
"""


def test_after_a_gpu_is_lost_the_next_daemon_computes_on_the_processor_and_says_so(altered_daemon):
    daemon = altered_daemon(A_GPU + AT_ONCE)
    with Client() as client:
        with pytest.raises(CharreplError, match="did not come back"):
            client.complete("the end")
        assert daemon.wait(DEADLINE_S) == 1
        assert client.complete(TEXT).text.startswith(NEXT)
        assert "CUDA_ERROR_ILLEGAL_ADDRESS" in client.status()["predecessor"]["how"]
    assert control.options_before()["device"] == "cpu"
    assert "the next daemon computes on the processor" in paths.log_file().read_text()


A_FULL_GPU = """
from charrepl_train.devices import jax_setup
from charrepl_daemon.engine import engine
def full(self):
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 24 bytes.")
jax_setup.has_gpu, engine.Engine._make_store = lambda: True, full
"""


def test_a_daemon_that_finds_a_gpu_full_starts_on_the_processor_and_says_so(altered_daemon):
    altered_daemon(A_FULL_GPU, options=("--cache-mb", "8"))
    with Client() as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        status = client.status()
    assert status["predecessor"]["how"].startswith("left: the GPU has no room for ")
    assert control.options_before()["device"] == "cpu"
    assert control.options_before()["cache_mb"] == 8
    assert "the next daemon computes on the processor" in paths.log_file().read_text()


def test_a_gpu_that_somebody_insists_on_may_be_full(altered_daemon):
    with pytest.raises(AssertionError, match="the GPU has no room for "):
        altered_daemon(A_FULL_GPU, options=("--device", "gpu"))


# A call that ends after the event loop has, and before the process.
OUTLASTING = """
import threading, time
from charrepl_daemon.engine import engine
from charrepl_daemon.lifecycle import foreground
works, leave, ended = engine.Engine.step, foreground._leave, threading.Event()
def step(self, writings):
    if any(self.vocabulary.decode(w.tokens).endswith("the end") for w in writings):
        ended.wait()
    works(self, writings)
def slowly(code):
    ended.set()
    for thread in threading.enumerate():
        if thread.name == "device" and thread is not threading.current_thread():
            thread.join(5)
    leave(code)
engine.Engine.step, foreground._leave = step, slowly
"""


def test_a_call_on_the_device_that_outlasts_the_daemon_is_no_failure(altered_daemon):
    daemon = altered_daemon(OUTLASTING)
    with Wire() as wire:
        wire.send(complete(1, "the end"))
        wire.status()  # it has the request
        daemon.terminate()
        assert wire.receive()["code"] == "stopping"
    assert daemon.wait(DEADLINE_S) == 0
    assert status_file.left_behind() is None


# Crashing

CRASHES = """
import ctypes, os
from charrepl_daemon.serving import server
from charrepl_daemon.process import write_failures
write_failures.MOST_BYTES = 2000
works = server.Server._answer
def crashes(self, peer, through, frame):
    if b"the end" in frame:
        for n in range(200):
            server.log.info("another line of the log, the %dth, so that it is begun anew", n)
        ctypes.string_at(0)
    works(self, peer, through, frame)
server.Server._answer = crashes
"""


def test_a_crash_after_the_log_was_begun_anew_is_in_the_log_and_leaves_no_core(shared_home):
    control.stop()
    limits = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\n"
    with paths.log_file().open("ab") as log:  # as a daemon is started
        read_end, write_end = os.pipe()
        daemon = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"{limits}{CRASHES}from charrepl_daemon.cli.main import main\n"
                f"main(['start', '--foreground', '--ready-fd', '{write_end}'])",
            ],
            stdout=log,
            stderr=log,
            pass_fds=[write_end],
        )
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        assert pipe.read() == "ready\n"
    found = Path(f"/proc/{daemon.pid}/limits")
    if found.exists():
        assert re.search(r"Max core file size\s+0\s+0", found.read_text())
        assert Path(f"/proc/{daemon.pid}/coredump_filter").read_text().strip() == "00000000"
    with Wire() as wire:
        wire.send(complete(1, "the end"))
        assert daemon.wait(DEADLINE_S) == -signal.SIGSEGV
    logged = paths.log_file().read_text()
    assert "Fatal Python error: Segmentation fault" in logged
    assert "in crashes" in logged
    assert "another line of the log, the 0th" not in logged
    assert len(list(paths.log_file().parent.glob("daemon.log.*"))) == 3


def test_a_log_that_is_taken_away_is_begun_anew(living):
    paths.log_file().unlink()
    assert living("stop").returncode == 0
    assert "asked to shut down" in paths.log_file().read_text()


# Out of file descriptors


def status_once_answered() -> dict:
    """What a daemon says of itself to somebody who comes back until one answers."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(DaemonUnavailableError), Client(autostart=False) as client:
            assert client.complete(TEXT).text.startswith(NEXT)
            return client.status()
        assert time.monotonic() < deadline


def test_a_crowd_of_connections_does_not_take_the_last_file_descriptor(altered_daemon):
    daemon = altered_daemon("", prefix=("sh", "-c", 'ulimit -n 200; exec "$@"', "sh"))
    path = paths.endpoint().removeprefix("ipc://")
    with contextlib.ExitStack() as stack:
        for count in range(1, 241):
            stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):  # it is being closed
                stranger.connect(path)
            if count % 8 == 0:
                # All are closed at times, and whoever is asking then with them: it comes back.
                status_once_answered()
        assert daemon.poll() is None
    status = status_once_answered()
    assert status["pid"] == daemon.pid
    assert status["faults"]["connections_closed"] >= 1
