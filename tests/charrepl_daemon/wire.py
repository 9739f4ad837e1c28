"""A client in ten lines, as one in any language could be, and what comes back to it."""

from __future__ import annotations

import json
from typing import Any, Self

import zmq

from charrepl.system import paths
from tests.waiting import DEADLINE_S


class Wire:
    """A connection to the daemon's own socket, which neither greets nor checks anything."""

    def __init__(self, *, identity: bytes = b"") -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if identity:
            self.socket.setsockopt(zmq.IDENTITY, identity)
        self.socket.connect(paths.endpoint())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: dict | bytes) -> None:
        self.socket.send(message if isinstance(message, bytes) else json.dumps(message).encode())

    def receive(self) -> dict[str, Any]:
        assert self.socket.poll(DEADLINE_S * 1000), "no reply"
        return json.loads(self.socket.recv())

    def ask(self, message: dict | bytes) -> dict[str, Any]:
        self.send(message)
        return self.receive()

    def status(self) -> dict[str, Any]:
        return self.ask({"type": "status", "seq": 1})["status"]

    def close(self) -> None:
        self.socket.close()
        self.context.term()


def complete(seq: int, text: str = "every cup ", **fields) -> dict[str, Any]:
    return {"type": "complete", "seq": seq, "session": "s", "text": text, **fields}


def is_final(reply: dict[str, Any]) -> bool:
    return reply["type"] not in ("ghost", "chunk") or reply["final"]


def final(replies: list[dict]) -> dict:
    (last,) = [reply for reply in replies if is_final(reply)]
    return last


def until_final(wire: Wire) -> list[dict]:
    """The replies to one request, the last one final."""
    replies = [wire.receive()]
    while not is_final(replies[-1]):
        replies.append(wire.receive())
    return replies


def finals(wire: Wire, count: int) -> dict[int, dict]:
    """The final replies to so many requests, by `seq`: there must be one each."""
    found: dict[int, dict] = {}
    while len(found) < count:
        reply = wire.receive()
        assert reply["seq"] not in found, "a reply after the final one"
        if is_final(reply):
            found[reply["seq"]] = reply
    return found
