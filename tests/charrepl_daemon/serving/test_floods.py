"""One client that sends without pause: everybody else is served, and so are signals and the beat."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from charrepl.client import Client
from charrepl.system import paths
from tests.charrepl_daemon.flooder import ENDLESS, FLOODS
from tests.charrepl_daemon.wire import Wire, complete, until_final
from tests.soak.watching import resident_mb
from tests.waiting import DEADLINE_S

KEYS = 5
SOON_S = 5.0  # many times what a key takes on a busy machine; without turns it is for ever


@contextlib.contextmanager
def flood(*kinds: str, endpoint: str = "") -> Iterator[list[subprocess.Popen[bytes]]]:
    """Floods of some kinds, each from a process of its own, for as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        flooders = []
        for kind in kinds:
            command = [sys.executable, "-m", "tests.charrepl_daemon.flooder", kind, endpoint]
            flooder = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            stack.callback(flooder.kill)
            assert flooder.stdout is not None
            assert flooder.stdout.readline().strip().decode() == kind
            flooders.append(flooder)
        yield flooders


def longest_wait_s(wire: Wire) -> float:
    """The longest that a key takes to its final reply."""
    waits = []
    for seq in range(KEYS):
        began = time.monotonic()
        wire.send(complete(seq, "every cup is wa"))
        assert wire.socket.poll(SOON_S * 1000), "no reply"
        assert until_final(wire)[-1]["text"].startswith("rm")
        waits.append(time.monotonic() - began)
    return max(waits)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_keeps_nobody_from_typing(site, kind):
    with Wire() as wire:
        assert wire.status()["ready"]
        with flood(kind):
            longest = longest_wait_s(wire)
            print(kind, f"{longest:.3f}")
            assert longest < SOON_S


def test_a_flood_through_the_network_keeps_nobody_from_typing_and_one_of_ones_own_no_guest(site, guest):
    with Wire() as wire, guest.here(), Client(endpoint=site.endpoint) as client:
        for endpoint in (site.endpoint, ""):
            with flood("sessions", "status", endpoint=endpoint):
                assert longest_wait_s(wire) < SOON_S
                began = time.monotonic()
                assert client.complete("every cup is wa").text.startswith("rm")
                assert time.monotonic() - began < SOON_S


def test_a_message_that_does_not_end_costs_its_sender_the_connection_and_nobody_memory(site):
    with Wire() as wire:
        status = wire.status()
        before = resident_mb(status["pid"])
        with flood(ENDLESS) as (sender,):
            most = before
            while sender.poll() is None:
                most = max(most, resident_mb(status["pid"]))
                wire.send(complete(1, "every cup is wa"))
                assert until_final(wire)[-1]["text"].startswith("rm")
        assert most < before + 2000  # of what it sends in a second: on goes a gigabyte each
        deadline = time.monotonic() + DEADLINE_S
        while resident_mb(status["pid"]) > before + 200:
            assert time.monotonic() < deadline, "what it sent is kept"
        # Whoever sends whole messages keeps their connection.
        assert wire.status()["pid"] == status["pid"]


def test_many_floods_at_once_end_neither_the_beat_nor_the_way_to_stop(shared_home, altered_daemon):
    daemon = altered_daemon(
        "from charrepl_daemon.process import ownership; ownership._LOOK_S = ownership._MARK_S = 0.1"
    )
    with Wire() as wire, flood("complete", "status", "sample", "malformed", "big"):
        wire.status()
        for _ in range(3):
            before = paths.status_file().stat().st_mtime_ns
            deadline = time.monotonic() + SOON_S
            while paths.status_file().stat().st_mtime_ns == before:
                assert time.monotonic() < deadline, "no beat"
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(2 * SOON_S)
