"""Whether connections cost anything that stays: `make bench-daemon` runs it last.

500 connected writers who type, and 10,000 who connect, type a key and leave; the daemon's memory and
file descriptors before and after each, warmed up. With the bundled model, and a cache so small that it
is full from the first on: it is meant to grow until then.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import zmq
import zmq.asyncio

from charrepl.client import Client
from charrepl.system import paths
from charrepl.wire import protocol
from tests.bench import results
from tests.bench.daemon_speed import TEXT, daemon, percentiles, places, warm
from tests.soak.watching import descriptors, resident_mb

CACHE_MB = 8
WRITERS, KEYS, AT_ONCE = 500, 8, 50
WARM_UPS, CROWDS = 6, 3
CYCLES, LOOKS = 10_000, 10


def connected() -> zmq.asyncio.Socket:
    """A connection of its own."""
    socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(paths.endpoint())
    return socket


async def key(socket: zmq.asyncio.Socket, seq: int, text: str) -> float:
    """Types a key and waits for its ghost; how long that took, in ms. Raises RuntimeError for an error."""
    began = time.perf_counter()
    request = protocol.Complete(seq=seq, session="w", text=text, max_chars=8, stop="none")
    await socket.send(protocol.encode(request))
    while True:
        reply = protocol.decode_reply(await asyncio.wait_for(socket.recv(), 120))
        if isinstance(reply, protocol.Error):
            raise RuntimeError(reply.message)
        if protocol.is_final(reply):
            return 1000 * (time.perf_counter() - began)


def used(pid: int) -> tuple[float, int]:
    """Resident MB and open file descriptors, all writers gone."""
    deadline = time.monotonic() + 60
    with Client() as client:
        while client.status()["waiting"] and time.monotonic() < deadline:
            pass
    return resident_mb(pid), descriptors(pid)


async def crowd(writers: int, first: str) -> tuple[list[float], int]:
    """The milliseconds of each key of so many writers at once, and the descriptors while all are there."""
    sockets = [connected() for _ in range(writers)]
    times: list[float] = []

    async def write(number: int, socket: zmq.asyncio.Socket) -> None:
        for n in range(1, KEYS + 1):
            times.append(await key(socket, n, f"{first}{number}: {TEXT}"[: 4 + n]))

    try:
        await asyncio.gather(*(write(n, socket) for n, socket in enumerate(sockets)))
        with Client() as client:
            held = descriptors(client.status()["pid"])
    finally:
        for socket in sockets:
            socket.close()
    return times, held


async def cycles(count: int, base: int) -> None:
    """So many writers who connect, type a key and leave, AT_ONCE at a time."""
    numbers = iter(range(base, base + count))

    async def come_and_go() -> None:
        for n in numbers:
            socket = connected()
            try:
                await key(socket, 1, f"{n}"[-3:])
            finally:
                socket.close()

    await asyncio.gather(*(come_and_go() for _ in range(AT_ONCE)))


def change(before: tuple[float, int], after: tuple[float, int]) -> str:
    """Both, and how much more the second is."""
    return (
        f"resident {before[0]:.1f} to {after[0]:.1f} MB ({100 * (after[0] / before[0] - 1):+.2f} %), "
        f"descriptors {before[1]} to {after[1]}"
    )


def row(who: str, before: tuple[float, int], after: tuple[float, int]) -> results.Row:
    """Both, as a table's row."""
    return {
        "connections": who,
        "resident_before_mb": round(before[0], 1),
        "resident_after_mb": round(after[0], 1),
        "descriptors_before": before[1],
        "descriptors_after": after[1],
    }


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    results.add_option(parser)
    arguments = parser.parse_args()
    with places(), daemon("auto", "--cache-mb", str(CACHE_MB)):
        with Client() as client:
            pid = client.status()["pid"]
        warm()
        before = used(pid)
        for n in range(WARM_UPS):  # until it takes no more memory
            was = before
            asyncio.run(crowd(arguments.writers, f"w{n}"))
            before = used(pid)
            if before[0] < 1.005 * was[0]:
                break
        times, held = [], 0
        for again in range(CROWDS):
            more, held = asyncio.run(crowd(arguments.writers, f"c{again}"))
            times += more
        together = used(pid)
        rows = [row(f"{arguments.writers} writers at once", before, together)]
        print(
            f"{arguments.writers} writers at once, {KEYS} keys each as soon as the last has its ghost, "
            f"{CROWDS} times after {n + 1}: {percentiles(times)} ms, {held} descriptors meanwhile; "
            f"{change(before, together)}",
            flush=True,
        )
        part = arguments.cycles // LOOKS
        asyncio.run(cycles(part, 0))
        before = used(pid)
        for n in range(1, LOOKS):
            asyncio.run(cycles(part, n * part))
        after = used(pid)
        found = change(before, after)
        rows.append(row(f"{part * LOOKS:,} who connect, type a key and leave", before, after))
        results.write(arguments.results, "connections", rows)
        print(f"{part * LOOKS:,} who connect, type and leave, after the first {part:,}: {found}")


if __name__ == "__main__":
    main()
