"""A client that sends without pause and never reads: `python -m tests.charrepl_daemon.flooder KIND`.

It prints a line once it has sent its first thousand, or as much as fits, and goes on until it is ended.
"""

from __future__ import annotations

import itertools
import json
import socket as sockets
import sys
from collections.abc import Callable, Iterator

import zmq

from charrepl.client import connection
from charrepl.system import paths
from charrepl.wire import protocol

_SAID_AFTER = 1000
ENDLESS = "endless"


def _frames(kind: str, model: str) -> Iterator[bytes]:
    for n in itertools.count():
        made = FLOODS[kind](n, model)
        yield made if isinstance(made, bytes) else json.dumps(made).encode()


def _complete(n: int, **fields: object) -> dict[str, object]:
    return {"type": "complete", "seq": n, "session": "s", "text": "every cup " * 20, **fields}


_BIG = (b'{"type":"score","seq":1,"text":"', b"x" * 60_000, b'","digest":"', b"\\u0041" * 150_000, b'"}')
# What is sent, by kind.
FLOODS: dict[str, Callable[[int, str], dict[str, object] | bytes]] = {
    "complete": lambda n, model: _complete(n),
    "sessions": lambda n, model: _complete(n, session=str(n), stop="none"),
    "named": lambda n, model: _complete(n, model=model),
    "unknown": lambda n, model: _complete(n, model=f"nobody-{n}"),
    "hello": lambda n, model: {"type": "hello", "seq": n, "protocol": protocol.PROTOCOL},
    "status": lambda n, model: {"type": "status", "seq": n},
    "models": lambda n, model: {"type": "models", "seq": n},
    "reload": lambda n, model: {"type": "reload", "seq": n, "model": model},
    "sample": lambda n, model: {"type": "sample", "seq": n, "text": "a", "max_chars": 1_000_000},
    "score": lambda n, model: {"type": "score", "seq": n, "text": "every cup " * 6000},
    "malformed": lambda n, model: b"x" * (n % 100),
    "big": lambda n, model: b"".join(_BIG),
    "deep": lambda n, model: b'{"x":' + b"[" * 1_000_000,
    "too large": lambda n, model: b"x" * (protocol.MAX_FRAME_BYTES + 1),
}


def endless(path: str) -> None:
    """Sends the parts of a message that never ends, which no ZeroMQ socket would: it would keep them."""
    with sockets.socket(sockets.AF_UNIX) as socket:
        socket.connect(path)
        # ZMTP 3.0 (rfc.zeromq.org/spec/23): the greeting, READY, and frames with more to follow.
        socket.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        socket.recv(64, sockets.MSG_WAITALL)
        ready = b"\x05READY" + b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
        socket.sendall(bytes([4, len(ready)]) + ready)
        part = bytes([3]) + (100_000).to_bytes(8, "big") + bytes(100_000)
        print(ENDLESS, flush=True)
        while True:
            socket.sendall(part)


def main(kind: str, endpoint: str = "", model: str = "kettle") -> None:
    """Floods the endpoint, by default the owner's own; `model` is what some kinds name."""
    if kind == ENDLESS:
        endless(paths.endpoint().removeprefix("ipc://"))
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    endpoint = endpoint or paths.endpoint()
    connection.configure(socket, endpoint)
    socket.setsockopt(zmq.IMMEDIATE, 0)
    socket.connect(connection.reach(endpoint) if connection.is_remote(endpoint) else endpoint)
    frames = _frames(kind, model)
    for frame in itertools.islice(frames, _SAID_AFTER):
        try:
            socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            break
    print(kind, flush=True)
    for frame in frames:
        socket.send(frame)


if __name__ == "__main__":
    main(*sys.argv[1:])
