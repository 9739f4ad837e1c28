"""A socket that one thread reads and another sends through."""

from __future__ import annotations

import asyncio
import threading

import pytest
import zmq

from charrepl_daemon.sockets.router import Router

ENDPOINT = "inproc://router"


def test_a_request_that_comes_in_while_another_thread_sends_is_read_at_once():
    """ZeroMQ says once that something has come in, to whichever thread it finds using the socket."""
    context = zmq.Context()
    client = context.socket(zmq.DEALER)
    client.connect(ENDPOINT)

    async def serve() -> None:
        router = Router(context)
        router.bind(ENDPOINT)
        client.send(b"first")
        identity, _ = await router.receive()
        waiting = asyncio.create_task(router.receive())
        await asyncio.sleep(0)  # it has found nothing, and the event loop is about to wait
        client.send(b"second")
        sending = threading.Thread(target=router.send_to, args=(identity.bytes, b"reply"))
        sending.start()
        sending.join()
        async with asyncio.timeout(10):
            assert (await waiting)[-1].bytes == b"second"
        assert client.recv() == b"reply"
        router.close()

    asyncio.run(serve())
    client.close()
    context.term()


def test_a_peer_that_has_gone_is_told_from_one_that_is_slow():
    context = zmq.Context()
    router = Router(context)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.SNDHWM, 1)
    router.bind(ENDPOINT)
    with pytest.raises(zmq.ZMQError) as gone:
        router.send_to(b"nobody", b"")
    assert not isinstance(gone.value, zmq.Again)
    slow = context.socket(zmq.DEALER)
    slow.rcvhwm = 1
    slow.routing_id = b"slow"
    slow.connect(ENDPOINT)
    slow.send(b"")
    router.recv_multipart()
    with pytest.raises(zmq.Again):
        for _ in range(10):
            router.send_to(b"slow", b"")
    slow.close()
    router.close()
    context.term()
