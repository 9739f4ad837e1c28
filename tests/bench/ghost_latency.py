"""How long a key waits for its ghost, through the socket of a real daemon: `make bench`.

Types a passage with the bundled model and prints percentiles of key to first piece and key to whole
ghost, beside the same work done by the engine in this process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

TEXT = "ROMEO:\nBut soft, what light through yonder window breaks?\nIt is the east, and Juliet is the sun.\n"
GHOST_CHARS = 24


@contextlib.contextmanager
def daemon() -> Iterator[None]:
    """A daemon of its own."""
    with tempfile.TemporaryDirectory(prefix="cr-") as place:
        os.environ.update(CHARREPL_DATA_DIR=f"{place}/data", CHARREPL_RUNTIME_DIR=f"{place}/run")
        command = [sys.executable, "-m", "charrepl_daemon"]
        subprocess.run([*command, "start"], check=True, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            subprocess.run([*command, "stop"], check=True, stdout=subprocess.DEVNULL)


def through_the_socket() -> tuple[list[float], list[float]]:
    """Milliseconds from each key to its first piece and to its whole ghost."""
    from charrepl import protocol
    from charrepl.client import Client

    first, whole = [], []
    with Client() as client:
        for n in range(1, len(TEXT) + 1):
            request = protocol.Complete(
                seq=0, session="bench", text=TEXT[:n], max_chars=GHOST_CHARS, stop="none"
            )
            began = time.perf_counter()
            for i, _ in enumerate(client.stream(request)):
                if not i:
                    first.append(1000 * (time.perf_counter() - began))
            whole.append(1000 * (time.perf_counter() - began))
    return first, whole


def in_process() -> tuple[list[float], list[float]]:
    """The same, by calling the engine."""
    from charrepl_train import device

    device.prepare()
    from charrepl import models
    from charrepl.protocol import Decoding
    from charrepl_daemon.engine import Engine

    engine = Engine(models.find(), cache_bytes=256 << 20)
    first, whole = [], []
    for n in range(1, len(TEXT) + 1):
        began = time.perf_counter()
        (writing,) = engine.ghosts(
            "bench",
            TEXT[:n],
            0,
            max_chars=GHOST_CHARS,
            stop="none",
            alternatives=1,
            min_confidence=0.0,
            decoding=Decoding(),
        )
        engine.step([writing])
        first.append(1000 * (time.perf_counter() - began))
        while not writing.done:
            engine.step([writing])
        whole.append(1000 * (time.perf_counter() - began))
        engine.release(writing)
    return first, whole


def main() -> None:
    """Prints a line for each."""
    with daemon():
        rows = [("socket", *through_the_socket()), ("socket", *through_the_socket())]
        rows += [("in process", *in_process())]
    for name, first, whole in rows:
        for what, values in (("first piece", first), (f"{GHOST_CHARS} characters", whole)):
            ordered = sorted(values)
            p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
            print(f"{name:12} key to {what:14} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")


if __name__ == "__main__":
    main()
