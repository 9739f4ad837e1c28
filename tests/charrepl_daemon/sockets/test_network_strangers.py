"""Who is not let in through the network: told what to do, or nothing at all, and in nobody's way.

Real daemons, CURVE handshakes and key files.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import subprocess
import sys
import time

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from charrepl.client import Client, connection, credentials
from charrepl.errors import DaemonUnavailableError
from charrepl.system import paths
from tests.charrepl_daemon.network_daemon import said
from tests.waiting import DEADLINE_S


def test_who_is_not_listed_is_told_what_to_do(site, machine):
    stranger = machine("stranger")
    key = stranger.make_key()
    stranger.trust(site.endpoint, site.server.key)
    refused = said(stranger, site.endpoint)
    assert refused.code == "forbidden"
    assert f"charrepl-daemon allow NAME {key}" in str(refused)
    assert f"charrepl-daemon allow NAME {key}" in site.server.daemon("logs").stdout
    with Client() as client:  # the owner's
        assert client.status()["network"]["refused"] >= 1
        assert client.complete("every").text


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


IN_THE_ALLOW_LIST = """
from charrepl_daemon.sockets import network_guests
works, count = network_guests.Network.callback, iter(range(100))
def fails(self, domain, key):
    if next(count) < 2:
        raise OSError("a bug")
    return works(self, domain, key)
network_guests.Network.callback = fails
"""


def test_an_error_in_letting_one_in_keeps_nobody_else_out(altered_daemon, machine):
    here = machine("here")
    here.allow("owner", here.make_key())
    with here.here():
        altered_daemon(IN_THE_ALLOW_LIST, options=("--endpoint", "tcp://127.0.0.1:0"))
    with Client(autostart=False) as client:
        endpoint = client.status()["network"]["endpoint"]
    here.trust(endpoint, here.key)
    for _ in range(2):
        refused = said(here, endpoint)
        assert f"the daemon at {endpoint} could not check whether this machine is allowed" in str(refused)
    with here.here(), Client(endpoint=endpoint) as client:
        assert client.complete("every").text


def test_a_daemon_that_has_no_time_for_a_handshake_is_not_taken_for_another(machine, monkeypatch):
    """Its owner is stopped, and its heart beats on: whoever knocks is neither let in nor refused."""
    monkeypatch.setattr(connection, "ANSWER_S", 3.0)
    here = machine("here")
    here.make_key()
    with here.here(), zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        asked = context.socket(zmq.REP)  # which is asked who may come in, and never answers
        asked.bind("inproc://zeromq.zap.01")
        pair = credentials.own()
        router.curve_server, router.curve_secretkey = True, pair.secret
        router.zap_domain = b"test"
        for handshake_ms in (1000, 60_000):  # it gives up first, or we do
            router.setsockopt(zmq.HANDSHAKE_IVL, handshake_ms)
            monkeypatch.setattr(connection, "_AT_ONCE_S", 0.5)
            port = router.bind_to_random_port("tcp://127.0.0.1")
            endpoint = f"tcp://127.0.0.1:{port}"
            here.trust(endpoint, here.key)
            refused = said(here, endpoint)
            assert "does not answer" in str(refused)
            assert "trust" not in str(refused)
        asked.close(linger=0)
