"""What `status` tells: figures that are right, what went wrong before, and never what was typed."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import re
import signal
import subprocess
import sys

import pytest

from charrepl.client import AsyncClient, Client, ConnectionState, daemon_startup
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl_daemon.lifecycle import control
from charrepl_daemon.metrics import status_report
from charrepl_daemon.metrics.declarations import STAGES
from charrepl_daemon.process import status_file
from charrepl_daemon.serving.jobs import job_for
from charrepl_daemon.serving.scheduler import Scheduler
from tests.charrepl_daemon.wire import Wire


def status_of(daemon) -> dict:
    return json.loads(daemon("status", "--json").stdout)


def test_a_daemon_without_a_model_yet_can_be_looked_at():
    head, none = status_report.table(status_report.models({"models": []}))
    assert none.startswith("none yet")
    assert len(none.split()) - 1 == len(status_report.models({"models": []})[0])
    assert len(none) == len(head)


def test_the_figures_add_up(shared_daemon):
    with Client(autostart=False) as client:
        before = client.status()
        for _ in range(5):
            client.complete("every cup is")
        "".join(client.sample("COOK:\n", max_chars=20))
        list(client.score("every cup"))
        after = client.status()
    assert after["requests"] - before["requests"] == 7
    assert after["requests_by_type"]["sample"] - before["requests_by_type"]["sample"] == 1
    assert after["sessions"] == before["sessions"] + 1
    assert after["waiting"] == 0
    for stage in STAGES:
        found = after["latency_ms"][stage]
        assert found["count"] - before["latency_ms"][stage]["count"] == 5, stage
        assert found["p50"] <= found["p90"] <= found["p99"]
    times = {stage: after["latency_ms"][stage]["p99"] for stage in STAGES}
    assert times["advance"] <= 1.2 * times["first_piece"] <= 1.5 * times["full_ghost"]


def test_a_person_reads_the_same(shared_daemon):
    with Client(autostart=False) as client:
        client.complete("a most private sentence")
    found, lines = status_of(shared_daemon), shared_daemon("status").stdout
    assert f"pid {found['pid']}" in lines.splitlines()[0]
    for title in ("key to first piece", "key to whole ghost", "kettle"):
        assert title in lines
    # Daemons that other tests end may leave word of a program that they were trying.
    assert max(len(line) for line in lines.splitlines() if "compiled again" not in line) <= 100
    assert "private" not in lines
    assert "private" not in json.dumps(found)


def test_who_asks_is_not_counted_as_at_work(shared_daemon):
    with Client(autostart=False) as asker, Client(autostart=False) as other:
        asker.complete("every cup")
        alone = asker.status()["active"]
        other.complete("every cup")
        assert asker.status()["active"] == alone + 1
        other.complete("every cup is")
        assert asker.status()["active"] == alone + 1


def test_frames_that_are_no_requests_are_counted(shared_daemon):
    before = status_of(shared_daemon)["faults"]["malformed"]
    wire = Wire()
    wire.ask(b"hello")
    wire.ask(b"[1]")
    wire.close()
    assert status_of(shared_daemon)["faults"]["malformed"] == before + 2
    assert "frames were no requests" in shared_daemon("status").stdout


def test_a_daemon_stopped_while_it_starts_is_no_crash(home):
    read_end, write_end = os.pipe()
    starting = subprocess.Popen(
        [sys.executable, "-m", "charrepl_daemon", "start", "--foreground", "--ready-fd", str(write_end)],
        pass_fds=[write_end],
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    while not paths.status_file().exists():
        assert starting.poll() is None
    starting.send_signal(signal.SIGTERM)
    said = starting.communicate(timeout=60)[1]
    assert "Traceback" not in said
    with os.fdopen(read_end) as pipe:
        assert pipe.read() in ("the daemon was stopped before it was ready\n", "")
    assert status_file.left_behind() is None


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"pid": 0, "endpoint": ""}', b'{"pid": "x"}'])
def test_a_file_of_nobody_tells_nothing(home, content):
    paths.private_dir(paths.runtime_dir())
    paths.status_file().write_bytes(content)
    assert status_file.left_behind() is None


def test_a_device_failure_is_counted_and_told(model_dir):
    scheduler = Scheduler(most_models=1, cache_bytes=1 << 20)
    scheduler.start()
    try:
        ask(scheduler, model_dir)
        (engine,) = scheduler.library.engines()
        works = engine._compiled[1]

        def fails(params, store, rows):
            raise RuntimeError("out of memory")

        engine._compiled[1] = engine._compiled[8] = fails
        with pytest.raises(CharreplError, match="out of memory"):
            ask(scheduler, model_dir)
        engine._compiled[1] = engine._compiled[8] = works
        ask(scheduler, model_dir)
        found = scheduler.metrics.report()
    finally:
        scheduler.stop(drain_s=10)
    assert found["faults"]["device_failures"] == found["failed"] == 1
    assert "out of memory" in found["faults"]["last_device_failure"]
    assert found["latency_ms"]["full_ghost"]["count"] == 2


def ask(scheduler: Scheduler, directory) -> protocol.Reply:
    """The final reply to a `complete`."""
    replies: queue.Queue[protocol.Reply] = queue.Queue()
    job = job_for(
        # A ghost of nothing: none of it is known the next time, and none is done ahead.
        protocol.Complete(seq=1, session="s", text="every", min_confidence=1.0),
        directory=directory,
        connection="c",
        deliver=lambda job, reply: replies.put(reply),
    )
    scheduler.submit(job)
    while not protocol.is_final(reply := replies.get(timeout=60)):
        pass
    if isinstance(reply, protocol.Error):
        raise CharreplError(reply.message, code=reply.code)
    return reply


# Restarting


def test_restart_waits_for_those_who_type_unless_forced(living):
    before = status_of(living)["pid"]
    with Client(autostart=False) as client:
        client.complete("every cup")
        refused = living("restart")
        assert refused.returncode == 1
        assert re.match(r"Error: \d+ sessions? ha(s|ve) typed in the last 10 s", refused.stderr)
        assert "--force" in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert status_of(living)["pid"] == before
        assert living("restart", "--force").returncode == 0
        assert status_of(living)["pid"] != before
        assert client.complete("every cup is wa").text.startswith("rm")


def test_a_passage_under_way_counts_as_work(shared_daemon):
    with Client(autostart=False) as client:
        passage = client.sample("COOK:\n", max_chars=1_000_000)
        next(passage)
        assert status_of(shared_daemon)["active"] >= 1
        assert "--force" in shared_daemon("restart").stderr


@pytest.mark.parametrize(("active", "says"), [(1, "1 session has"), (3, "3 sessions have")])
def test_a_refusal_names_how_many_type(active, says):
    refusal = status_report.refusal({"active": active, "active_s": 10.0})
    assert refusal is not None
    assert refusal.startswith(says)
    assert status_report.refusal({"active": 0, "active_s": 10.0}) is None


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.9, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_061, "1 d 1 h")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, says: str):
    assert status_report.duration(seconds) == says


# An older daemon


def of_protocol(number: int) -> str:
    """What makes a daemon one of another version: its protocol has another number."""
    return f"from charrepl.wire import protocol; protocol.PROTOCOL = {number}"


def test_an_older_daemon_is_left_to_those_who_use_it_and_then_replaced(altered_daemon):
    older = altered_daemon(of_protocol(protocol.PROTOCOL - 1))
    with Client() as client:
        with Client(autostart=False, greet=False) as other:
            passage = other.sample("COOK:\n", max_chars=1_000_000)  # as one of its own version would
            next(passage)
            with pytest.raises(DaemonUnavailableError, match=r"is older, and 1 session has typed.*--force"):
                client.complete("every cup")
            assert older.poll() is None
        while control.status()["active"]:  # it hears a moment later that the other one has left
            pass
        assert client.complete("every cup is wa").text.startswith("rm")
        assert client.status()["protocol"] == protocol.PROTOCOL
    assert older.wait(30) == 0


def test_a_newer_prompt_replaces_an_older_daemon(altered_daemon):
    altered_daemon(of_protocol(protocol.PROTOCOL - 1))

    async def connect() -> None:
        ready = asyncio.Event()
        client = AsyncClient(on_state=lambda state: ready.set() if state.phase == "ready" else None)
        running = asyncio.create_task(client.run())
        async with asyncio.timeout(120):
            await ready.wait()
            report = await client.ask(protocol.Status(seq=0))
        assert isinstance(report, protocol.Report)
        assert report.status["protocol"] == protocol.PROTOCOL
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()

    asyncio.run(connect())


def test_a_newer_daemon_is_left_alone_but_can_be_asked_and_stopped(altered_daemon, command):
    newer = altered_daemon(of_protocol(protocol.PROTOCOL + 1))
    with Client() as client, pytest.raises(DaemonUnavailableError, match=r"newer .*: end this program"):
        client.complete("every cup")
    assert status_of(command)["protocol"] == protocol.PROTOCOL + 1
    assert newer.poll() is None
    assert command("stop").stdout == f"Stopped, pid {newer.pid}.\n"
    assert newer.wait(30) == 0


def test_a_prompt_is_told_while_the_model_is_prepared_and_has_its_ghost_once_it_is(shared_home, tmp_path):
    control.stop()
    may_load = tmp_path / "may-load"
    code = f"""
import pathlib, time
from charrepl_daemon.engine import model_library
read = model_library.ModelLibrary._read
def wait(self, *loaded):
    while not pathlib.Path({str(may_load)!r}).exists():
        time.sleep(0.05)
    return read(self, *loaded)
model_library.ModelLibrary._read = wait
from charrepl_daemon.cli.main import main
main(["start", "--foreground"])
"""
    states: list[tuple[str, str]] = []

    async def connect() -> None:
        preparing, ready = asyncio.Event(), asyncio.Event()

        def told(state: ConnectionState) -> None:
            states.append((state.phase, state.detail))
            if state.phase == "ready":
                (preparing if state.detail else ready).set()

        client = AsyncClient(on_state=told)
        running = asyncio.create_task(client.run())
        async with asyncio.timeout(120):
            await preparing.wait()
            asked = asyncio.create_task(
                client.ask(protocol.Complete(seq=0, session="s", text="every cup is wa"))
            )
            may_load.touch()
            reply = await asked
            assert isinstance(reply, protocol.Ghost)
            assert reply.text.startswith("rm")
            await ready.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()

    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as daemon:
        while not daemon_startup.is_listening(paths.endpoint()):
            assert daemon.poll() is None
        asyncio.run(connect())
        daemon.terminate()
    assert states[-2:] == [("ready", "preparing the model"), ("ready", "")]
