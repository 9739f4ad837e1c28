"""Daemons that are started in vain: fewer and fewer of them, and none at all until somebody wants one."""

from __future__ import annotations

import asyncio
import contextlib
import stat
import sys
import time
from pathlib import Path

import pytest

from charrepl.client import AsyncClient, Client, ConnectionState, start_backoff
from charrepl.client.start_backoff import Backoff
from charrepl.errors import DaemonUnavailableError
from charrepl.wire import protocol
from tests.charrepl.prompt import Bench
from tests.waiting import DEADLINE_S


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_starts_in_a_row_come_further_and_further_apart_until_somebody_has_to_want_one() -> None:
    clock = Clock()
    waits = Backoff(clock)
    found = []
    for _ in range(6):
        found.append((waits.wait_s, waits.spent))
        clock.now += waits.wait_s
        waits.started()
    assert found == [(0, False), (1, False), (5, False), (25, False), (60, True), (1, False)]


def test_what_is_long_ago_or_went_well_counts_no_longer() -> None:
    clock = Clock()
    waits = Backoff(clock)
    for _ in range(3):
        waits.started()
    clock.now += 20
    assert waits.wait_s == 5
    clock.now += 40
    assert waits.wait_s == 0
    assert not waits.spent
    waits.started()
    waits.started()
    waits.reset()
    assert waits.wait_s == 0


def test_the_starts_of_all_programs_count_together(tmp_path: Path) -> None:
    clock = Clock()
    waits = []
    for _ in range(4):  # each a process of its own, as in a loop of a shell's
        one = Backoff(clock, file=lambda: tmp_path / "starts")
        waits.append(one.wait_s)
        clock.now += one.wait_s
        one.started()
    assert waits == [0, 1, 5, 25]
    assert Backoff(clock, file=lambda: tmp_path / "starts").spent
    one.reset()
    assert Backoff(clock, file=lambda: tmp_path / "starts").wait_s == 0
    one.started()
    clock.now -= 1000  # the clock was set back
    assert Backoff(clock, file=lambda: tmp_path / "starts").wait_s == 0


def test_programs_that_start_one_daemon_at_once_count_as_one_start(tmp_path: Path) -> None:
    clock = Clock()
    programs = [Backoff(clock, file=lambda: tmp_path / "starts") for _ in range(6)]
    for expected in (1, 5):  # two daemons end before they answer
        with contextlib.ExitStack() as begun:
            for program in programs:
                begun.enter_context(program.starting())
            clock.now += 1
        assert {program.wait_s for program in programs} == {expected}
        clock.now += expected


IN_VAIN = """#!/bin/sh
echo x >> {tried}
echo 'Error: memory ran short: close programs' >&2
exit 1
"""


@pytest.fixture
def failing_starts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A daemon that cannot start here; a file with a line for each time that it was tried."""
    tried = bench.place / "tried"
    tried.touch()
    python = bench.place / "python"
    python.write_text(IN_VAIN.format(tried=tried))
    python.chmod(stat.S_IRWXU)
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(bench.place / "run"))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(start_backoff, "_GAPS_S", (0.0, 0.01, 0.02, 0.04, 0.3))
    return tried


def test_a_prompt_stops_starting_what_does_not_start_until_a_key_and_says_why(failing_starts: Path) -> None:
    said: list[ConnectionState] = []

    async def count_after(changed: asyncio.Event) -> int:
        async with asyncio.timeout(DEADLINE_S):
            while not (said and said[-1].detail.endswith("; the next key starts it again")):
                changed.clear()
                await changed.wait()
        return len(failing_starts.read_text().splitlines())

    async def main() -> None:
        changed = asyncio.Event()

        def tell(state: ConnectionState) -> None:
            said.append(state)
            changed.set()

        client = AsyncClient(on_state=tell)
        running = asyncio.create_task(client.run())
        assert await count_after(changed) == 4
        assert said[-1].detail.startswith(
            "the daemon did not start: memory ran short: close programs; the next"
        )
        said.clear()
        with pytest.raises(DaemonUnavailableError, match="memory ran short"):
            await client.ask(protocol.Complete(seq=0, session="s", text="x"))  # a key
        assert await count_after(changed) >= 5
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()

    asyncio.run(main())


def test_a_script_that_asks_on_and_on_is_told_why_without_another_start(
    failing_starts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_backoff, "_GAPS_S", (0.0, 0.01, 30.0, 60.0))
    with Client() as client:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            with pytest.raises(DaemonUnavailableError, match="memory ran short: close programs") as refused:
                client.complete("every")
            if "not started again for" in str(refused.value):
                break
        assert len(failing_starts.read_text().splitlines()) == 2
