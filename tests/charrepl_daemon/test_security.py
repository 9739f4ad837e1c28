"""Who gets in through the network, as whom, and what they may do; and that nobody else does.

Real daemons, CURVE handshakes and key files.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from charrepl import credentials, paths, protocol
from charrepl.async_client import AsyncClient, ConnectionState
from charrepl.client import Client
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.safe import visible
from charrepl_daemon import process
from tests.charrepl.screen import Screen
from tests.charrepl_daemon.forwarder import Forwarder
from tests.charrepl_daemon.machine import Machine, one_line

DEADLINE_S = 60


# Starting


def no_key(here: Machine) -> None:
    pass


def no_guests(here: Machine) -> None:
    here.make_key()


def open_secret(here: Machine) -> None:
    here.make_key()
    here.allow("laptop", here.key)
    (here.config / "keys" / "secret.key").chmod(0o640)


def open_directory(here: Machine) -> None:
    no_guests(here)
    (here.config / "keys").chmod(0o755)


def truncated_secret(here: Machine) -> None:
    no_guests(here)
    file = here.config / "keys" / "secret.key"
    os.truncate(file, file.stat().st_size - 10)


def public_in_place_of_secret(here: Machine) -> None:
    no_guests(here)
    (here.config / "keys" / "secret.key").write_text(here.key + "\n")


def only_damaged_guests(here: Machine) -> None:
    no_guests(here)
    os.truncate(here.allow("laptop", here.key), 60)


@pytest.mark.parametrize("how", [(), ("--foreground",)], ids=["background", "foreground"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_key, "run charrepl-daemon keygen"),
        (no_guests, "run charrepl-daemon allow NAME KEY"),
        (open_secret, "run chmod 600"),
        (open_directory, "run chmod 700"),
        (truncated_secret, "keygen --force"),
        (public_in_place_of_secret, "keygen --force"),
        (only_damaged_guests, "run charrepl-daemon allow NAME KEY"),
    ],
)
def test_without_keys_and_guests_nothing_listens(machine, tmp_path, monkeypatch, how, spoil, says):
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(tmp_path / "run"))
    here = machine("here")
    spoil(here)
    refused = here.daemon("start", "--endpoint", "tcp://127.0.0.1:0", *how)
    assert (refused.returncode, refused.stdout) == (1, "")
    # A log line may go before, where it is the terminal that is logged to.
    assert says in one_line(refused.stderr.splitlines(keepends=True)[-1])
    assert process.running() is None


def test_a_secret_key_of_another_user_is_refused(machine):
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    here = machine("here")
    here.make_key()
    os.chown(here.config / "keys" / "secret.key", 65534, 65534)
    assert "belongs to user 65534" in one_line(here.daemon("keys").stderr)


# Being let in


class Site:
    """A daemon that listens, and the machine it runs on."""

    def __init__(self, server: Machine, endpoint: str) -> None:
        self.server = server
        self.endpoint = endpoint
        self.port = int(endpoint.rpartition(":")[2])


def listen(server: Machine) -> Site:
    started = server.daemon("start", "--endpoint", "tcp://127.0.0.1:0")
    assert started.returncode == 0, started.stderr
    found = re.search(r"Listening on (tcp://127\.0\.0\.1:\d+) for .*owner\. ", started.stdout)
    assert found, started.stdout
    assert f"charrepl-daemon trust tcp://{socket.gethostname()}:" in started.stdout
    return Site(server, found[1])


@pytest.fixture(scope="module")
def site(shared_home) -> Site:
    """A daemon on its ipc socket and on tcp, for all tests here: none may harm the ones after it."""
    server = Machine(shared_home / "config-server")
    server.make_key()
    server.allow("owner", f"{server.key} admin")
    return listen(server)


@pytest.fixture
def guest(site, machine, request) -> Machine:
    """A machine that is allowed, and trusts the site."""
    guest = machine("guest")
    allowed = site.server.allow("guest", guest.make_key())
    guest.trust(site.endpoint, site.server.key)
    request.addfinalizer(lambda: allowed.unlink(missing_ok=True))
    return guest


@pytest.fixture
def admin(site) -> Machine:
    """The server's own machine, whose key is an admin's."""
    site.server.trust(site.endpoint, site.server.key)
    return site.server


def test_what_each_command_prints_leads_to_a_ghost(site, machine):
    laptop = machine("laptop")

    def next_command(said: str, word: str) -> list[str]:
        (line,) = [line for line in said.splitlines() if line.startswith(f"    charrepl-daemon {word} ")]
        port = site.endpoint.rpartition(":")[2]
        return line.replace(f"{socket.gethostname()}:7878", f"127.0.0.1:{port}").split()[1:]

    shown = site.server.daemon("allow", "owner", site.server.key, "--admin").stdout
    trusted = laptop.daemon(*next_command(shown, "trust"))
    assert trusted.returncode == 0
    refused = laptop.charrepl("complete", "every cup", "--endpoint", site.endpoint)
    assert refused.returncode == 1
    assert f"charrepl-daemon allow NAME {laptop.key}" in one_line(refused.stderr)
    word, _, key = next_command(trusted.stdout, "allow")
    assert site.server.daemon(word, "laptop", key).returncode == 0
    try:
        done = laptop.charrepl(
            "complete", "every cup is wa", "--greedy", "--chars", "4", "--endpoint", site.endpoint
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            done.stdout
            == site.server.charrepl("complete", "every cup is wa", "--greedy", "--chars", "4").stdout
        )
    finally:
        assert site.server.daemon("revoke", "laptop").returncode == 0


def test_a_guest_completes_samples_scores_and_lists(site, guest):
    text = "every cup is warm, good master"
    with Client() as local:  # which needs no key
        expected = local.complete(text)
        scores = list(local.score(text))
    with guest.here(), Client(endpoint=site.endpoint) as client:
        assert client.complete(text) == expected
        assert list(client.score(text)) == scores
        assert len("".join(client.sample("COOK:\n", max_chars=2000))) == 2000
        listed = client.models()
        assert {model.name for model in listed.models} == {"kettle", "shakespeare"}
        assert {model.path for model in listed.models} == {""}
    assert "* kettle" in guest.charrepl("models", "--endpoint", site.endpoint).stdout
    assert json.loads(guest.charrepl("score", "--json", __file__, "--endpoint", site.endpoint).stdout)


def test_a_guest_may_not_reload_or_stop_or_name_a_directory(site, guest, shared_home):
    requests = [
        protocol.Reload(seq=0),
        protocol.Shutdown(seq=0),
        protocol.Complete(seq=0, session="s", text="x", model=str(shared_home / "models" / "kettle")),
    ]
    with guest.here(), Client(endpoint=site.endpoint) as client:
        for request in requests:
            with pytest.raises(CharreplError) as refused:
                client.ask(request)
            assert refused.value.code == "forbidden"
        assert client.complete("every").text
    for command in ("reload", "stop"):
        refused = guest.daemon(command, "--endpoint", site.endpoint)
        assert refused.returncode == 1
        assert "--admin run there" in one_line(refused.stderr)


def test_an_admin_may_reload_but_not_name_a_directory(site, admin, shared_home):
    assert admin.daemon("reload", "kettle", "--endpoint", site.endpoint).stdout == "Reloaded.\n"
    path = str(shared_home / "models" / "kettle")
    refused = admin.daemon("reload", path, "--endpoint", site.endpoint)
    assert "on the daemon's own machine only" in one_line(refused.stderr)


def test_status_says_how_many_may_connect_and_not_who(site, admin, guest):
    shown = admin.daemon("status", "--endpoint", site.endpoint).stdout
    assert f"listening on {site.endpoint}: 2 allowed" in shown
    shown = guest.daemon("status", "--json", "--endpoint", site.endpoint).stdout
    assert "owner" not in json.loads(shown)["network"].values()
    assert {model["path"] for model in json.loads(shown)["models"]} == {""}


def test_a_running_daemon_is_not_taken_to_listen_where_it_does_not(site):
    again = site.server.daemon("start", "--endpoint", "tcp://127.0.0.1:1")
    assert again.returncode == 1
    assert "charrepl-daemon restart" in one_line(again.stderr)
    assert site.server.daemon("start", "--endpoint", "tcp://127.0.0.1:0").returncode == 0


def test_two_guests_may_use_the_same_session_name(site, guest, admin):
    with contextlib.ExitStack() as stack:
        clients = []
        for machine in (guest, admin):
            with machine.here():
                clients.append(stack.enter_context(Client(endpoint=site.endpoint)))
                assert clients[-1].status()
        request = protocol.Complete(seq=0, session="s", text="every cup ", stop="none", max_chars=400)
        streams = [client.stream(request) for client in clients]
        for _ in range(2):
            assert {type(next(stream)) for stream in streams} == {protocol.Ghost}
        assert {type(list(stream)[-1]) for stream in streams} == {protocol.Ghost}


# Not being let in


def said(machine: Machine, endpoint: str, **options) -> CharreplError:
    """What a client on a machine is told."""
    with machine.here(), Client(endpoint=endpoint) as client, pytest.raises(CharreplError) as refused:
        client.complete("every")
    assert "\n" not in str(refused.value)
    return refused.value


def test_who_is_not_listed_is_told_what_to_do(site, machine):
    stranger = machine("stranger")
    key = stranger.make_key()
    stranger.trust(site.endpoint, site.server.key)
    refused = said(stranger, site.endpoint)
    assert refused.code == "forbidden"
    assert f"charrepl-daemon allow NAME {key}" in str(refused)
    assert f"charrepl-daemon allow NAME {key}" in site.server.daemon("logs").stdout


def test_another_key_than_the_trusted_one_is_not_spoken_to(site, guest):
    guest.trust(site.endpoint, credentials.encoded(credentials.generate().public))
    refused = said(guest, site.endpoint)
    assert refused.code == "untrusted"
    assert f"charrepl-daemon trust {site.endpoint} KEY --force" in str(refused)


def test_a_missing_key_is_said_before_anything_is_sent(site, machine):
    nobody = machine("nobody")
    assert f"run charrepl-daemon trust {site.endpoint} KEY" in str(said(nobody, site.endpoint))
    nobody.trust(site.endpoint, site.server.key)
    assert "run charrepl-daemon keygen" in str(said(nobody, site.endpoint))


@pytest.mark.parametrize("name", ["secret.key", "trusted"])
def test_a_truncated_key_is_named(site, guest, name):
    file = guest.config / "keys" / name
    if file.is_dir():
        (file,) = file.iterdir()
    for size in (file.stat().st_size - 5, 5, 0):
        os.truncate(file, size)
        refused = str(said(guest, site.endpoint))
        assert f"{file} is damaged" in refused
        assert "charrepl-daemon" in refused


def test_a_secret_key_that_others_can_read_is_not_used(site, guest):
    (guest.config / "keys" / "secret.key").chmod(0o644)
    assert "run chmod 600" in str(said(guest, site.endpoint))


def test_a_client_without_keys_gets_no_word_out_of_it(site):
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    monitor = dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    try:
        dealer.connect(site.endpoint)
        dealer.send(b'{"type": "status", "seq": 1}')
        assert monitor.poll(DEADLINE_S * 1000)
        assert recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        assert not dealer.poll(0)
    finally:
        dealer.disable_monitor()
        monitor.close()
        dealer.close()
        context.term()


def test_noise_at_the_port_does_no_harm(site, guest):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE".ljust(22, b"\0") + bytes(32)
    for size in (0, 1, 10, 64, 1000, 100_000):
        for start in (b"", greeting):
            noise = socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE_S)
            with noise, contextlib.suppress(ConnectionError):  # it may hang up
                noise.sendall(start + rng.randbytes(size))
    with guest.here(), Client(endpoint=site.endpoint) as client:
        assert client.complete("every").text


def test_a_damaged_file_on_the_allow_list_lets_nobody_in_and_keeps_nobody_out(site, guest, machine):
    other = machine("other")
    file = site.server.allow("other", other.make_key())
    other.trust(site.endpoint, site.server.key)
    try:
        with other.here(), Client(endpoint=site.endpoint) as client:
            assert client.complete("every").text
        for text in ("", "x" * 10_000, f"{other.key} adnim\n", f"{other.key}\n{guest.key}\n", other.key[:-9]):
            file.write_text(text)
            assert said(other, site.endpoint).code == "forbidden"
        with guest.here(), Client(endpoint=site.endpoint) as client:
            assert client.complete("every").text
    finally:
        file.unlink()
    assert f"{file} is damaged" in site.server.daemon("logs").stdout


def test_strangers_who_take_every_connection_neither_end_it_nor_keep_a_guest_out_for_long(home, machine):
    here = machine("here")
    here.allow("owner", here.make_key())
    command = 'ulimit -n 200; exec "$0" -m charrepl_daemon start --endpoint tcp://127.0.0.1:0'
    env = {**os.environ, "CHARREPL_CONFIG_DIR": str(here.config)}
    started = subprocess.run(["sh", "-c", command, sys.executable], env=env, capture_output=True, text=True)
    found = re.search(r"tcp://127\.0\.0\.1:(\d+) for owner", started.stdout)
    assert found, started.stderr
    endpoint = f"tcp://127.0.0.1:{found[1]}"
    here.trust(endpoint, here.key)
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            stranger = stack.enter_context(socket.socket())
            stranger.setblocking(False)
            stranger.connect_ex(("127.0.0.1", int(found[1])))
        deadline = time.monotonic() + DEADLINE_S
        while "closing them all" not in paths.log_file().read_text():
            assert time.monotonic() < deadline
        for _ in range(20):
            with Client(autostart=False) as client:
                assert client.complete("every").text
    with here.here(), Client(endpoint=endpoint) as client:
        while True:
            with contextlib.suppress(DaemonUnavailableError):
                assert client.complete("every").text
                break
            assert time.monotonic() < deadline


def refused_at_last(ask: Callable[[], object]) -> CharreplError:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            ask()
        except CharreplError as error:
            return error
    raise AssertionError("never refused")


def test_a_key_taken_off_the_list_is_cut_off_where_it_is(site, guest):
    with guest.here(), Client(endpoint=site.endpoint) as client:
        passage = client.sample("COOK:\n", max_chars=1_000_000)
        next(passage)
        (site.server.config / "keys" / "allowed" / "guest.key").unlink()
        refused = refused_at_last(lambda: next(passage))
        assert (refused.code, "no longer allowed" in str(refused)) == ("forbidden", True)
        with pytest.raises(CharreplError, match="no longer allowed"):
            client.status()
    assert f"allow NAME {guest.key}" in str(said(guest, site.endpoint))


def test_rights_taken_away_are_gone_on_an_open_connection(site, guest):
    site.server.allow("guest", f"{guest.key} admin")
    with guest.here(), Client(endpoint=site.endpoint) as client:
        client.ask(protocol.Reload(seq=0, model="kettle"))
        site.server.allow("guest", guest.key)
        refused = refused_at_last(lambda: client.ask(protocol.Reload(seq=0, model="kettle")))
        assert refused.code == "forbidden"
        assert client.complete("every").text


# Nothing there


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
    assert process.running() is None


def test_a_port_that_is_taken_is_said_in_one_line(home, machine):
    here = machine("here")
    here.allow("owner", here.make_key())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = here.daemon("start", "--endpoint", f"tcp://localhost:{taken.getsockname()[1]}")
    assert refused.returncode == 1
    assert "Address already in use" in one_line(refused.stderr)
    assert process.running() is None


# Connections that come and go


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
    command = [sys.executable, "-c", "from charrepl.cli import main; main()", "--endpoint", site.endpoint]
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
            with pytest.raises(DaemonUnavailableError, match="was lost while answering"):
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
    with places(tmp_path / "replica", model_dir):
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
        assert process._wait_unlocked(DEADLINE_S)
    assert seen == alone
    assert len(set(pids)) == 2
    assert pids[0] == pids[-1]
