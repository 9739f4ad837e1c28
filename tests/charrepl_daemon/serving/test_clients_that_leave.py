"""Who leaves a request has it given up: nothing is computed for nobody, and nobody is kept waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import zmq

from charrepl.client import AsyncClient, Client
from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.sockets import outbox
from charrepl_daemon.sockets.network_guests import Peer
from charrepl_daemon.sockets.router import Router
from tests.charrepl_daemon.wire import Wire, complete, until_final
from tests.waiting import DEADLINE_S, until

LONG = 1_000_000  # characters: minutes, were they all written
SCORED = "every cup is warm. " * 3000


@pytest.fixture
def wire(shared_daemon) -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


def settled(wire: Wire) -> None:
    """Waits until nothing is under way."""
    deadline = time.monotonic() + DEADLINE_S
    while wire.status()["waiting"]:
        assert time.monotonic() < deadline, "what nobody waits for goes on"


def sample(seq: int, **fields) -> dict:
    return {"type": "sample", "seq": seq, "text": "MASTER:\n", "max_chars": LONG, **fields}


def test_closing_a_passage_ends_it_in_the_daemon(wire):
    with Client() as client:
        passage = client.sample("MASTER:\n", max_chars=LONG)
        next(passage)
        assert wire.status()["waiting"] == 1
        passage.close()
        settled(wire)
        for _ in client.sample("MASTER:\n", max_chars=LONG):
            break
        settled(wire)
        # The connection is as good as new.
        assert client.complete("every cup is wa").text.startswith("rm")


def test_a_newer_request_of_a_client_ends_the_passage_that_it_was_reading(wire):
    with Client() as client:
        passage = client.sample("MASTER:\n", max_chars=LONG)
        next(passage)
        assert client.complete("every cup is wa").text.startswith("rm")
        settled(wire)
        with pytest.raises(CharreplError, match="one request at a time"):
            list(passage)


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[AsyncClient]:
    ready = asyncio.Event()
    client = AsyncClient(on_state=lambda state: ready.set() if state.phase == "ready" else None)
    running = asyncio.create_task(client.run())
    await ready.wait()
    try:
        yield client
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()


def test_dropping_a_stream_of_an_async_client_ends_it(wire):
    requests = [
        protocol.Sample(seq=0, max_chars=LONG),
        protocol.Score(seq=0, text=SCORED),
        protocol.Complete(seq=0, session="s", text="every", max_chars=4096, stop="none", alternatives=8),
    ]

    async def read(client: AsyncClient, request: protocol.Request) -> None:
        async for _ in client.stream(request):
            pass

    async def leave() -> None:
        async with connected() as client:
            async for _ in client.stream(requests[0]):
                break
            await asyncio.to_thread(settled, wire)
            reading = [asyncio.create_task(read(client, request)) for request in requests]
            while (await asyncio.to_thread(wire.status))["waiting"] < len(requests):
                pass
            for task in reading:
                task.cancel()
            await asyncio.to_thread(settled, wire)

    asyncio.run(leave())


def test_what_a_client_asked_for_is_given_up_when_it_dies_though_it_is_told_nothing(wire):
    code = f"""
import sys, time
from charrepl_daemon.sockets import outbox
from charrepl_daemon.sockets.router import Router
from charrepl_daemon.sockets.network_guests import Peer
from tests.charrepl_daemon.wire import Wire
wire = Wire()
for seq in range(50):
    wire.send({{"type": "score", "seq": seq, "text": {SCORED!r}}})
wire.status()
print("asked", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"asked\n"
        until(lambda: wire.status()["waiting"] == 50)  # as soon as it is known which model they mean
        client.kill()
    began = time.monotonic()
    settled(wire)
    assert time.monotonic() - began < 10  # not the time of fifty scores


def test_cancel_is_answered_by_the_request_that_it_names_alone(wire):
    for seq in (1, 2):
        wire.send(sample(seq))
    wire.send({**complete(3, max_chars=4096, stop="none"), "session": "t"})
    for seq in (1, 3, 77, 1):  # one that there is not, and one twice
        wire.send({"type": "cancel", "seq": seq})
    found: dict[int, dict] = {}
    while len(found) < 2:
        reply = wire.receive()
        if reply["type"] == "error":
            assert reply["seq"] not in found
            found[reply["seq"]] = reply
    assert {seq: reply["code"] for seq, reply in found.items()} == {1: "cancelled", 3: "cancelled"}
    assert wire.receive()["seq"] == 2  # which goes on
    wire.send({"type": "cancel", "seq": 2})
    assert until_final(wire)[-1]["code"] == "cancelled"
    wire.send({"type": "cancel", "seq": 2})
    wire.send({"type": "status", "seq": 4})
    assert wire.receive()["seq"] == 4
    # What waits for a model is given up as well, and was not loaded for nobody.
    wire.send(sample(5, model="shakespeare"))
    wire.send({"type": "cancel", "seq": 5})
    assert wire.receive()["code"] == "cancelled"


def test_replies_that_nobody_reads_are_bounded_for_all_clients_together(monkeypatch):
    """The part alone: a quarter of a gigabyte unread takes long to make."""
    monkeypatch.setattr(outbox, "_MOST_BYTES_IN_ALL", 100_000)
    peers = [Peer(name) for name in (b"a", b"b", b"c")]
    gone: list[Peer] = []
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        router = Router(context)
        stack.callback(router.close)
        router.setsockopt(zmq.SNDHWM, 1)
        router.bind("inproc://outbox")
        for peer in peers:
            reader = stack.enter_context(context.socket(zmq.DEALER))
            reader.rcvhwm, reader.linger, reader.routing_id = 1, 0, peer.identity
            reader.connect("inproc://outbox")
            reader.send(b"")
            router.recv_multipart()
        box = outbox.Outbox(
            lambda peer: router,
            lock=threading.RLock(),
            sent=lambda job: None,
            gone=gone.append,
            later=lambda seconds, call: None,
        )
        while not gone:
            for peer in (*peers, peers[1]):
                box.send(peer, bytes(1000))
    assert gone == [peers[1]]  # for whom the most waits
