"""How fast the daemon answers: `make bench-daemon`, or some of its parts by name.

    step     a decode step of the program that serves, beside what reading its weights takes
    host     what a row of a step takes besides the device's call, by the length of its text
    ghost    a key to the first piece and to the whole of its ghost: through the socket, and in process
    accept   an accepted ghost to the next one: decoded ahead, and decoded when it is asked for
    writers  8 to 64 writers at 8 keys a second each
    start    `charrepl-daemon start`, without and with compiled programs kept from before

Each daemon is one of its own, with the bundled model. Times are in milliseconds but for `start`.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import results

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from charrepl.client import Client
    from charrepl_daemon.engine.engine import Engine
    from charrepl_daemon.model import programs

TEXT = "ROMEO:\nBut soft, what light through yonder window breaks?\nIt is the east, and Juliet is the sun.\n"
# The same in letters that no ghost foresees: what a ghost has foreseen is known, and no call is made for it.
KEYS = codecs.encode(TEXT, "rot13")
GHOST_CHARS = 24
ROUNDS, TURNS, FEW = 12, 4, 16
WRITERS, KEYS_A_SECOND, WRITING_S = (8, 16, 32, 64), 8, 6.0
LENGTHS = 60, 1000, 2000
ROWS = 32  # of the widest program that every device has
COMMAND = [sys.executable, "-m", "charrepl_daemon"]


@contextlib.contextmanager
def places() -> Iterator[Path]:
    """Directories of its own."""
    with tempfile.TemporaryDirectory(prefix="cr-") as place:
        os.environ.update(CHARREPL_DATA_DIR=f"{place}/data", CHARREPL_RUNTIME_DIR=f"{place}/run")
        yield Path(place)


@contextlib.contextmanager
def daemon(precision: str, *options: str) -> Iterator[None]:
    """A running daemon."""
    start = [*COMMAND, "start", "--precision", precision, *options]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run([*COMMAND, "stop"], check=True, stdout=subprocess.DEVNULL)


def percentiles(values: Sequence[float]) -> str:
    """The median and the 99th percentile."""
    ordered = sorted(values)
    return f"p50 {ordered[len(ordered) // 2]:6.2f}  p99 {ordered[len(ordered) * 99 // 100]:6.2f}"


def engine(precision: str) -> Engine:
    """The bundled model's engine, in this process."""
    from charrepl_train.devices import jax_setup

    jax_setup.prepare(cache=False)
    from charrepl.settings import model_names
    from charrepl_daemon.engine.engine import Engine

    class Timed(Engine):
        """Adds up the milliseconds of its calls on the device."""

        called_ms = 0.0

        def _call(self, packed: NDArray[np.int32]) -> programs.Decoded:
            began = time.perf_counter()
            try:
                return super()._call(packed)
            finally:
                self.called_ms += 1000 * (time.perf_counter() - began)

    return Timed(model_names.bundled_dir(), cache_bytes=256 << 20, precision=precision)


# A step


def reading_ms(size: int) -> float:
    """Milliseconds to read that many bytes with all cores, from wherever they then lie."""
    import numpy as np

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = np.array_split(np.ones(size // 8), cores)
    times = 10

    def read(part: np.ndarray) -> None:
        for _ in range(times):
            part.max()

    threads = [threading.Thread(target=read, args=(part,)) for part in parts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1000 * (time.perf_counter() - began) / times


def step(precisions: Sequence[str]) -> Iterator[results.Row]:
    """Prints each precision's decode step by batch, and its ratios."""
    from charrepl_daemon.model import programs, serving_lstm

    for precision in precisions:
        served = engine(precision)
        size = serving_lstm.step_bytes(served._served.weights)
        calls: dict[int, Callable[[int], float]] = {}
        for batch in (1, 8, 32):
            served.compile(batch)
            packed = served._packing.blank(batch)

            def call(budget: int, packed: NDArray[np.int32] = packed, served: Engine = served) -> float:
                served._packing.fields(packed).budget[:] = budget
                began = time.perf_counter()
                served._call(packed)
                return 1000 * (time.perf_counter() - began)

            calls[batch] = call
        reading, seen = [], {batch: [] for batch in calls}
        for _ in range(ROUNDS):  # in turns: the machine's speed is not the same for long
            reading.append(reading_ms(size))
            for batch, call in calls.items():
                # What a call costs but for its steps is the same for few as for many.
                many, few = (min(call(budget) for _ in range(3)) for budget in (programs.PIECE, 1))
                seen[batch].append((many - few) / (programs.PIECE - 1))
        rate = size / min(reading) / 1e6
        print(f"{precision}: reading {size / 1e6:.1f} MB {beside(reading)}, {rate:.0f} GB/s")
        for batch, values in seen.items():
            limit, single = (
                " and ".join(f"{of(values) / of(other):.2f}" for of in (statistics.median, min))
                for other in (reading, seen[1])
            )
            print(
                f"  decode step, batch {batch:2}: {beside(values)}; over reading its weights {limit}, "
                f"over batch 1 {single}",
                flush=True,
            )
            yield {
                "precision": precision,
                "batch": batch,
                "median_ms": round(statistics.median(values), 3),
                "fastest_ms": round(min(values), 3),
                "reading_weights_ms": round(statistics.median(reading), 3),
            }


def beside(values: Sequence[float]) -> str:
    """The median, and the fastest: on a shared machine, what the program can do."""
    return f"{statistics.median(values):.3f} (fastest {min(values):.3f})"


# A row


def host(precisions: Sequence[str]) -> Iterator[results.Row]:
    """Prints microseconds a row, by length and rows, of a request, its first call and a later one."""
    for precision in precisions:
        served = engine(precision)
        served.compile(ROWS)
        for length in LENGTHS:
            for rows in (1, ROWS):
                times = [rows_of(served, length, rows, key) for key in range(ROUNDS)][1:]
                request, first, later, call = map(statistics.median, zip(*times, strict=True))
                print(
                    f"{precision}: {length:5} characters, {rows:2} rows: planning {request:4.0f}, a piece "
                    f"{first:4.0f}, the next {later:4.0f}; the device's call {1000 * call:6.0f}",
                    flush=True,
                )
                yield {
                    "precision": precision,
                    "characters": length,
                    "rows": rows,
                    "planning_us": round(request),
                    "first_piece_us": round(first),
                    "next_piece_us": round(later),
                }


def rows_of(served: Engine, length: int, rows: int, key: int) -> tuple[float, float, float, float]:
    """What so many writers' next key takes: microseconds a row of each part, and the call's milliseconds."""
    from charrepl.wire.protocol import Complete, Decoding

    text = "".join(random.Random(0).choices(KEYS, k=rows + length + ROUNDS))  # no ghost foresees it
    decoding = Decoding(adapt=True)
    generations, spent = [], []
    began = time.perf_counter()
    for n in range(rows):
        sent = text[n : n + length + key]
        request = Complete(seq=0, session="", text=sent, max_chars=3 * 8, stop="none", decoding=decoding)
        generations += served.planner.ghosts(f"{length} {rows} {n}", request)
    planning = time.perf_counter() - began
    while any(w.unread > 1 for w in generations):  # the first key of all
        served.step(generations)
    while left := [w for w in generations if not w.done]:
        called, began = served.called_ms, time.perf_counter()
        served.step(left)
        wall, call = 1000 * (time.perf_counter() - began), served.called_ms - called
        spent.append((1000 * (wall - call) / len(left), call))
    for generation in generations:
        served.release(generation)
    first, later = spent[0], spent[1:] or spent[:1]
    return 1e6 * planning / rows, first[0], statistics.median(other for other, _ in later), first[1]


# A ghost


def through_the_socket(
    client: Client, session: str, keys: range, first: list[float], whole: list[float]
) -> None:
    """Adds the milliseconds from each key to its first piece and to its whole ghost."""
    from charrepl.wire import protocol

    for n in keys:
        request = protocol.Complete(seq=0, session=session, text=KEYS[:n], max_chars=GHOST_CHARS, stop="none")
        began = time.perf_counter()
        for i, _ in enumerate(client.stream(request)):
            if not i:
                first.append(1000 * (time.perf_counter() - began))
        whole.append(1000 * (time.perf_counter() - began))


def in_process(served: Engine, session: str, keys: range, first: list[float], whole: list[float]) -> None:
    """The same, by calling the engine."""
    from charrepl.wire.protocol import Complete

    for n in keys:
        began = time.perf_counter()
        request = Complete(seq=0, session=session, text=KEYS[:n], max_chars=GHOST_CHARS, stop="none")
        (generation,) = served.planner.ghosts(session, request)
        served.step([generation])
        first.append(1000 * (time.perf_counter() - began))
        while not generation.done:
            served.step([generation])
        whole.append(1000 * (time.perf_counter() - began))
        served.release(generation)


def ghost(precisions: Sequence[str]) -> Iterator[results.Row]:
    """Prints percentiles of both, and their ratios."""
    from charrepl.client import Client

    for precision in precisions:
        socket: tuple[list[float], list[float]] = [], []
        process: tuple[list[float], list[float]] = [], []
        with places(), daemon(precision), Client() as client:
            warm()  # what the daemon compiles then, no engine in process does
            served = engine(precision)
            for turn in range(TURNS):
                # A few keys in turn: the machine's speed is not the same for long.
                for begin in range(1, len(KEYS) + 1, FEW):
                    keys = range(begin, min(begin + FEW, len(KEYS) + 1))
                    through_the_socket(client, f"bench {turn}", keys, *socket)
                    settled(client)  # the daemon goes on working ahead
                    in_process(served, f"bench {turn}", keys, *process)
        for i, what in enumerate(("first piece", f"{GHOST_CHARS} characters")):
            ordered = [sorted(side[i]) for side in (socket, process)]
            ratios = [
                f"{ordered[0][len(ordered[0]) * p // 100] / ordered[1][len(ordered[1]) * p // 100]:.2f}"
                for p in (50, 99)
            ]
            print(
                f"{precision}: key to {what:13}  socket {percentiles(socket[i])}  in process "
                f"{percentiles(process[i])}  ratios {' '.join(ratios)}",
                flush=True,
            )
            for way, side in (("through the socket", socket), ("the engine alone", process)):
                yield {"precision": precision, "key_to": what, "way": way, **results.percentiles(side[i])}


# After an accept


def characters_ahead(client: Client) -> int:
    """How many characters the daemon has decoded before anybody asked for them."""
    (model,) = client.status()["models"]
    return int(model["characters_ahead"])


def settled(client: Client) -> int:
    """The same, once it no longer grows."""
    before, now = -1, characters_ahead(client)
    while now != before:
        time.sleep(0.03)
        before, now = now, characters_ahead(client)
    return now


def accept(precisions: Sequence[str]) -> Iterator[results.Row]:
    """Prints percentiles of the ghost after an accepted one, by turns after a pause and at once."""
    from charrepl.client import Client
    from charrepl.wire import protocol

    for precision in precisions:
        first: dict[bool, list[float]] = {True: [], False: []}
        whole: dict[bool, list[float]] = {True: [], False: []}
        with places(), daemon(precision), Client() as client:

            def ask(session: str, text: str, client: Client = client) -> Iterator[protocol.Ghost]:
                request = protocol.Complete(
                    seq=0, session=session, text=text, max_chars=GHOST_CHARS, stop="none"
                )
                for reply in client.stream(request):
                    assert isinstance(reply, protocol.Ghost)
                    yield reply

            for n in range(len(TEXT)):
                for pause in (True, False):
                    before = settled(client)  # of those who came before
                    session = f"{n} {pause}"
                    *_, taken = ask(session, TEXT[:n])
                    while pause and characters_ahead(client) < before + GHOST_CHARS:
                        time.sleep(0.002)
                    began = time.perf_counter()
                    for i, _ in enumerate(ask(session, TEXT[:n] + taken.text)):
                        if not i:
                            first[pause].append(1000 * (time.perf_counter() - began))
                    whole[pause].append(1000 * (time.perf_counter() - began))
        for what, times in (("first piece", first), (f"{GHOST_CHARS} characters", whole)):
            ratio = statistics.median(times[False]) / statistics.median(times[True])
            print(
                f"{precision}: accept to {what:13}  decoded ahead {percentiles(times[True])}  when asked for "
                f"{percentiles(times[False])}  ratio {ratio:.1f}",
                flush=True,
            )
            for pause, way in ((True, "decoded ahead"), (False, "when asked for")):
                yield {
                    "precision": precision,
                    "accept_to": what,
                    "way": way,
                    **results.percentiles(times[pause]),
                }


# Writers


def warm() -> None:
    """Waits until the programs for many writers are there, which a start does not wait for."""
    from charrepl.client import Client

    with Client() as client:
        while client.status()["models"][0]["rows_at_once"] < ROWS:
            time.sleep(0.05)  # they are being compiled on the same cores


async def _write(
    endpoint: str, share: float, number: int, began: float, first: list[float], errors: list[str]
) -> None:
    import zmq
    import zmq.asyncio

    from charrepl.wire import protocol

    socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(endpoint)
    sent: dict[int, float] = {}
    answered: set[int] = set()
    keys = int(WRITING_S * KEYS_A_SECOND)

    async def read() -> None:
        finals = 0
        while finals < keys:
            reply = protocol.decode_reply(await socket.recv())
            if isinstance(reply, protocol.Error):
                errors.append(reply.message)
            if isinstance(reply, protocol.Ghost) and reply.seq not in answered:
                answered.add(reply.seq)
                first.append(1000 * (time.perf_counter() - sent[reply.seq]))
            finals += protocol.is_final(reply)

    reading = asyncio.create_task(read())
    for n in range(1, keys + 1):
        at = began + (n + share) / KEYS_A_SECOND
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        text = f"{number}: {TEXT}"[:n]
        request = protocol.Complete(seq=n, session="w", text=text, max_chars=GHOST_CHARS, stop="none")
        sent[n] = time.perf_counter()
        await socket.send(protocol.encode(request))
    async with asyncio.timeout(30):
        await reading
    socket.close()


def writers(precisions: Sequence[str]) -> Iterator[results.Row]:
    """Prints percentiles of key to first piece over all writers, and what went wrong."""
    for precision in precisions:
        with places(), daemon(precision):
            warm()
            for count in WRITERS:
                first, errors = asyncio.run(_all_write(count))
                keys = count * int(WRITING_S * KEYS_A_SECOND)
                print(
                    f"{precision}: {count} writers at {KEYS_A_SECOND} keys/s: first piece "
                    f"{percentiles(first)}, {len(first)} of {keys} keys had a ghost "
                    f"before the next key, {len(errors)} errors",
                    *sorted(set(errors))[:3],
                    flush=True,
                )
                yield {
                    "precision": precision,
                    "writers": count,
                    **results.percentiles(first),
                    "in_time_percent": round(100 * len(first) / keys, 1),
                    "errors": len(errors),
                }


async def _all_write(count: int) -> tuple[list[float], list[str]]:
    """The milliseconds from key to first piece of so many writers, and what went wrong."""
    from charrepl.system import paths

    first: list[float] = []
    errors: list[str] = []
    began = time.perf_counter() + 0.5
    await asyncio.gather(
        *(_write(paths.endpoint(), n / count, n, began, first, errors) for n in range(count))
    )
    return first, errors


def start(precisions: Sequence[str]) -> Iterator[results.Row]:
    """Prints the seconds until a start is ready."""
    for precision in precisions:
        with places():
            times = []
            for _ in range(4):
                began = time.perf_counter()
                with daemon(precision):
                    times.append(time.perf_counter() - began)
        print(f"{precision}: start to ready {times[0]:.2f} s, then {statistics.median(times[1:]):.2f} s warm")
        yield {
            "precision": precision,
            "first_s": round(times[0], 2),
            "later_s": round(statistics.median(times[1:]), 2),
        }


def main() -> None:
    """Prints the parts asked for, or all."""
    parts = {part.__name__: part for part in (step, host, ghost, accept, writers, start)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--precision", action="append", choices=["auto", "f32", "bf16", "int8"])
    results.add_option(parser)
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(parts)
    if unknown:
        parser.error(f"no part {min(unknown)}: there are {', '.join(parts)}")
    for name in arguments.parts or parts:
        with places() if name in ("step", "host") else contextlib.nullcontext():
            rows = list(parts[name](arguments.precision or ["f32", "int8"]))
        results.write(arguments.results, name, rows)


if __name__ == "__main__":
    main()
