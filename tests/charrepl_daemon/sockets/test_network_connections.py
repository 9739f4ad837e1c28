"""Connections through the network that cannot be made, or come and go, and replicas."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from charrepl.client import AsyncClient, Client, ConnectionState
from charrepl.errors import DaemonUnavailableError
from charrepl.text.control_characters import visible
from charrepl.wire import protocol
from charrepl_daemon.lifecycle import control
from tests.charrepl.screen import Screen
from tests.charrepl_daemon.forwarder import Forwarder
from tests.charrepl_daemon.network_daemon import listen, said
from tests.waiting import DEADLINE_S


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """A server that is no daemon: it reads a little, says `reply` and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(1000)
                        client.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "closed at once"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 64, "not ZeroMQ"),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32), "ZeroMQ with 'NULL'"),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"\x1b[2J".ljust(20, b"\0") + bytes(32), "ZeroMQ with"),
    ],
)
def test_what_is_no_daemon_is_said_to_be_none(machine, reply, says):
    here = machine("here")
    with answering(reply) as endpoint:
        here.trust(endpoint, here.make_key())
        refused = said(here, endpoint)
    assert isinstance(refused, DaemonUnavailableError)
    assert says in str(refused)
    assert visible(str(refused)) == str(refused)


def test_where_nothing_listens_nothing_is_started(home, machine):
    here = machine("here")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    here.trust(endpoint, here.make_key())
    assert "Connection refused" in str(said(here, endpoint))
    for nowhere in ("tcp://nowhere.invalid:1", f"tcp://{'x' * 80}:1"):
        here.trust(nowhere, here.key)
        assert f"cannot reach {nowhere}" in str(said(here, nowhere))
    assert control.running() is None


def run_with_client(endpoint: str, use: Callable[[AsyncClient, Callable], object]) -> None:
    """Runs `use(client, until)` beside an AsyncClient; `until` waits for a state that a predicate likes."""

    async def main() -> None:
        changed = asyncio.Event()
        client = AsyncClient(endpoint=endpoint, on_state=lambda _: changed.set())

        async def until(likes: Callable[[ConnectionState], bool]) -> ConnectionState:
            async with asyncio.timeout(DEADLINE_S):
                while not likes(client.state):
                    changed.clear()
                    await changed.wait()
            return client.state

        running = asyncio.create_task(client.run())
        try:
            await use(client, until)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.close()

    asyncio.run(main())


def ready(state: ConnectionState) -> bool:
    return state.phase == "ready"


def complete(text: str) -> protocol.Complete:
    return protocol.Complete(seq=0, session="s", text=text)


def test_a_prompt_says_what_is_missing_and_has_its_ghost_as_soon_as_it_is_allowed(site, guest):
    allowed = site.server.config / "keys" / "allowed" / "guest.key"
    allowed.unlink()
    (guest.config / "config.toml").write_text('assertiveness = "bold"\n')
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm-256color", "CHARREPL_CONFIG_DIR": str(guest.config)}
    command = [
        sys.executable,
        "-c",
        "from charrepl.cli.main import main; main()",
        "--endpoint",
        site.endpoint,
    ]
    with Screen(command, env=env, columns=250) as screen:
        screen.wait_for(f"charrepl-daemon allow NAME {guest.key}")
        screen.type("every cup is wa")
        site.server.allow("guest", guest.key)
        screen.wait_for(lambda screen: screen.ghost.startswith("rm"))


def test_a_connection_lost_while_answering_is_said_and_the_next_request_finds_another(site, guest):
    with Forwarder(site.port) as forwarder, guest.here():
        endpoint = f"tcp://127.0.0.1:{forwarder.port}"
        guest.trust(endpoint, site.server.key)
        with Client(endpoint=endpoint) as client:
            passage = client.sample("COOK:\n", max_chars=1_000_000)
            next(passage)
            forwarder.move(None)
            with pytest.raises(DaemonUnavailableError, match="was lost before the answer came"):
                for _ in passage:
                    pass
            with pytest.raises(DaemonUnavailableError, match="cannot reach"):
                client.complete("every")
            forwarder.move(site.port)
            assert client.complete("every").text


def test_a_writer_moved_between_replicas_sees_the_ghosts_of_one(site, guest, places, model_dir, tmp_path):
    text = "MASTER:\nThe kettle sings, the kitchen fills with st"
    with Client() as client:
        alone = [client.complete(text[:n]).text for n in range(len(text) + 1)]
    seen: list[str] = []
    with places(tmp_path / "replica"):
        replica = listen(site.server)  # which has the same keys, and so the same name to its guests
        ports = [replica.port, site.port]
        with Forwarder(site.port) as balancer, guest.here():
            endpoint = f"tcp://127.0.0.1:{balancer.port}"
            guest.trust(endpoint, site.server.key)
            pids: list[int] = []

            async def use(client: AsyncClient, until) -> None:
                for n in range(len(text) + 1):
                    if n in (17, 33):
                        assert balancer.move(ports[n == 33]) == 1
                        await until(lambda state: not ready(state))
                    pids.append((await until(ready)).pid)
                    seen.append((await client.ask(complete(text[:n]))).text)

            run_with_client(endpoint, use)
        # An admin's key stops it from afar.
        site.server.trust(replica.endpoint, site.server.key)
        assert site.server.daemon("stop", "--endpoint", replica.endpoint).returncode == 0
        assert control._wait_unlocked(DEADLINE_S)
    assert seen == alone
    assert len(set(pids)) == 2
    assert pids[0] == pids[-1]
