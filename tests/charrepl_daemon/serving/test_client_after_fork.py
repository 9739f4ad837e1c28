"""Clients that a process had before it forked, as multiprocessing and servers with workers do, or threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

FORKED = """if True:
    import asyncio, os, sys
    from concurrent.futures import ThreadPoolExecutor
    from charrepl.client import AsyncClient
    from charrepl.client import Client
    from charrepl.errors import CharreplError
    from charrepl.wire.protocol import Status

    def in_child(work, *, leave=sys.exit):
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            return
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            leave(code)
"""
CLIENT = """
    client = Client()
    text = client.complete("every cup is wa", max_chars=4).text
    pieces = client.sample("every cup", max_chars=300)
    next(pieces)

    def work():
        try:
            list(pieces)
        except CharreplError as error:
            print(error)
        with client:  # which closes it
            assert client.complete("every cup is wa", max_chars=4).text == text
            assert [client.status()["pid"]] * 2 == [client.status()["pid"] for _ in range(2)]

    for leave in (sys.exit, os._exit, sys.exit):
        in_child(work, leave=leave)
    unused = Client()
    in_child(unused.close)
    in_child(lambda: in_child(work, leave=os._exit))
    assert len("".join(pieces)) > 200  # what was under way goes on
    assert client.complete("every cup is wa", max_chars=4).text == text

    # And threads.
    def said(work):
        try:
            return work()
        except CharreplError as error:
            return str(error)

    pieces = client.sample("every cup", max_chars=300)
    next(pieces)
    again = lambda: client.complete("every cup is wa", max_chars=4).text
    with ThreadPoolExecutor(1) as pool:
        assert "make one for each thread" in pool.submit(said, again).result(60)
        assert len("".join(pieces)) > 200
        assert pool.submit(said, again).result(60) == text
    client.close()
    assert said(again) == "this Client is closed: make another"
"""
ASYNC_CLIENT = """
    async def pid(client):
        async with asyncio.timeout(60):
            running = asyncio.create_task(client.run())
            while client.state.phase != "ready":
                await asyncio.sleep(0.01)
            status = (await client.ask(Status(seq=0))).status
            running.cancel()
            await asyncio.wait([running])
            assert client.state.phase == "down"
            return status["pid"]

    client = AsyncClient()
    found = asyncio.run(pid(client))

    def work():
        async def too_early():
            await client.ask(Status(seq=0))
        try:
            asyncio.run(too_early())
        except CharreplError as error:
            print(error)
        assert asyncio.run(pid(client)) == found
        asyncio.run(client.close())

    in_child(work)
    asyncio.run(client.close())
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (CLIENT, {"this request was sent on another connection: ask again"}),
        (ASYNC_CLIENT, {"not connected to the daemon yet"}),
    ],
    ids=["Client", "AsyncClient"],
)
def test_a_forked_process_has_a_connection_of_its_own(shared_daemon, program: str, said: set[str]) -> None:
    # Of forks beside threads, and of the parent's sockets, which are left alone.
    expected = [f"-Wignore::{kind}" for kind in ("DeprecationWarning", "ResourceWarning")]
    command = [sys.executable, "-Werror", *expected, "-c", FORKED + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == said
