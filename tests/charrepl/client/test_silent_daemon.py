"""Whoever is there and does not answer: every wait of a client comes to an end, in one line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from charrepl.client import AsyncClient, Client, ConnectionState, connection
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.wire import protocol
from tests.charrepl.prompt import Bench
from tests.charrepl.scripted_daemon import ScriptedDaemon, after, continuing, hung
from tests.waiting import DEADLINE_S


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)


def not_zeromq(path: Path) -> Callable[[], None]:
    """Somebody who takes connections and says nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener.close


def no_hello(path: Path) -> Callable[[], None]:
    """A ZeroMQ socket whose owner never reads."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(f"ipc://{path}")

    def close() -> None:
        router.close(linger=0)
        context.term()

    return close


def silent_after_hello(path: Path) -> Callable[[], None]:
    """A daemon that welcomes, and says no more."""
    daemon = ScriptedDaemon(path, hung)
    daemon.only_welcomes = True
    daemon.start()
    return daemon.stop


@pytest.fixture(params=[not_zeromq, no_hello, silent_after_hello])
def silent(request: pytest.FixtureRequest, bench: Bench) -> Iterator[str]:
    path = bench.place / "d.sock"
    close = request.param(path)
    yield f"ipc://{path}"
    close()


def test_a_script_is_told_that_nobody_answers(silent: str) -> None:
    with Client(endpoint=silent) as client:
        with pytest.raises(DaemonUnavailableError, match="does not answer: run charrepl-daemon restart"):
            client.complete("every")
        with pytest.raises(DaemonUnavailableError, match="does not answer"):
            next(client.sample("every"))


def test_a_prompt_is_told_that_nobody_answers(silent: str) -> None:
    async def main() -> None:
        told = asyncio.Event()

        def tell(state: ConnectionState) -> None:
            if state.phase == "down" and "does not answer" in state.detail:
                told.set()
            elif state.phase == "ready":
                asking.append(asyncio.get_running_loop().create_task(ask()))

        async def ask() -> None:
            with pytest.raises(CharreplError):
                await client.ask(protocol.Complete(seq=0, session="s", text="every"))

        asking: list[asyncio.Task[None]] = []
        client = AsyncClient(endpoint=silent, on_state=tell)
        running = asyncio.create_task(client.run())
        async with asyncio.timeout(DEADLINE_S):
            await told.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.gather(*asking)
        await client.close()

    asyncio.run(main())


def test_an_answer_that_takes_long_is_waited_for_where_the_daemon_lives(live: Bench) -> None:
    live.daemon.script = after(0.2, continuing())  # it holds up all its answers, but for less than is waited
    with Client(endpoint=live.daemon.endpoint) as client:
        assert client.complete("ROMEO:\n").text
    live.daemon.script = hung
    with Client(endpoint=live.daemon.endpoint) as client, ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.complete, "ROMEO:\n")
        with pytest.raises(TimeoutError):
            waiting.result(1.5)  # five times as long as a daemon has that says nothing at all
        live.daemon.stop()
        with pytest.raises(DaemonUnavailableError):
            waiting.result(DEADLINE_S)


@pytest.mark.timeout(DEADLINE_S)
def test_a_prompt_that_ends_as_its_daemon_dies_does_end(live: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is given up while it is being taken apart."""
    read = AsyncClient._read

    async def reading(client: AsyncClient, dealer: zmq.asyncio.Socket) -> None:
        try:
            await read(client, dealer)
        finally:
            running.cancel()

    async def main() -> None:
        nonlocal running
        ready = asyncio.Event()
        client = AsyncClient(
            endpoint=live.daemon.endpoint,
            on_state=lambda state: ready.set() if state.phase == "ready" else None,
        )
        running = asyncio.create_task(client.run())
        await ready.wait()
        live.daemon.stop()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()

    running: asyncio.Task[None]
    monkeypatch.setattr(AsyncClient, "_read", reading)
    asyncio.run(main())
