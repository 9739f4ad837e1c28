"""A daemon whose every word is scripted: a real ROUTER socket speaking the real protocol.

It stands in where the real daemon cannot be made to do what is tested: hang, lie, be slow, or
write exactly this.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from charrepl.wire import protocol

Script = Callable[[protocol.Complete], Iterator[protocol.Message | bytes]]  # bytes as they are

PASSAGE = (
    "ROMEO:\nIs the day so young?\n\nBENVOLIO:\nBut new struck nine.\n\n"
    "ROMEO:\nAy me! sad hours seem long.\nWas that my father that went hence so fast?\n"
)


def continuing(passage: str = PASSAGE, *, piece: int = 8) -> Script:
    """Ghosts that know `passage` by heart, streamed in pieces and ended as the real ones are."""

    def script(request: protocol.Complete) -> Iterator[protocol.Message]:
        at = passage.find(request.text) + len(request.text) if request.text in passage else len(passage)
        ghost = passage[at : at + request.max_chars]
        visible = next((i for i, char in enumerate(ghost) if not char.isspace()), 0)
        if request.stop == "line" and "\n" in ghost[visible:]:
            ghost = ghost[: ghost.index("\n", visible) + 1]
        for end in range(piece, len(ghost), piece):
            yield answer(request, ghost[:end], final=False)
        yield answer(request, ghost)

    return script


def answer(
    request: protocol.Complete, text: str, *, final: bool = True, rank: int = 0, nats: float = -0.01
) -> protocol.Ghost:
    """A ghost for `request`."""
    return protocol.Ghost(
        seq=request.seq,
        session=request.session,
        text=text,
        log_probs=[nats] * len(text),
        final=final,
        alternative=rank,
    )


def offering(*ways: str, otherwise: Script) -> Script:
    """Where alternatives are asked for, these; `otherwise` as that says."""

    def script(request: protocol.Complete) -> Iterator[protocol.Message]:
        if request.alternatives == 1:
            yield from otherwise(request)
            return
        for rank, way in enumerate(ways):
            way = way[: request.max_chars]
            yield answer(request, way, final=rank == len(ways) - 1, rank=rank, nats=-float(rank + 1))

    return script


class ScriptedDaemon:
    """A daemon thread at `path`; `requests` holds every `complete` it got."""

    def __init__(self, path: Path, script: Script) -> None:
        self.endpoint = f"ipc://{path}"
        self.requests: list[protocol.Complete] = []
        self.cancelled: list[int] = []  # the `seq` of what was given up
        self.models = ["shakespeare", "tiny"]
        self.protocol = protocol.PROTOCOL  # the number that it goes by
        self.script = script
        self.pace_ms = 5  # between two pieces of what it says
        self.only_welcomes = False  # and says nothing else
        self._path = path
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> ScriptedDaemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._stop.clear()
        bound = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(bound,), daemon=True)
        self._thread.start()
        assert bound.wait(10)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    def _serve(self, bound: threading.Event) -> None:
        context = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.bind(self.endpoint)
        bound.set()
        streams: list[tuple[bytes, Iterator[protocol.Message | bytes]]] = []
        try:
            while not self._stop.is_set():
                if socket.poll(self.pace_ms if streams else 20):
                    sender, frame = socket.recv_multipart()
                    request = protocol.decode_request(frame)
                    if self.only_welcomes and not isinstance(request, protocol.Hello):
                        continue
                    if isinstance(request, protocol.Complete):
                        self.requests.append(request)
                        streams.append((sender, self.script(request)))
                    elif isinstance(request, protocol.Cancel):
                        self.cancelled.append(request.seq)
                    else:
                        socket.send_multipart([sender, protocol.encode(self._reply(request))])
                for entry in list(streams):
                    sender, replies = entry
                    reply = next(replies, None)
                    if reply is None:
                        streams.remove(entry)
                    else:
                        frame = reply if isinstance(reply, bytes) else protocol.encode(reply)
                        socket.send_multipart([sender, frame])
        finally:
            socket.close()
            context.term()

    def _reply(self, request: Any) -> protocol.Message:
        if isinstance(request, protocol.Hello):
            return protocol.Welcome(
                seq=request.seq,
                protocol=self.protocol,
                version="scripted",
                pid=1,
                models=self.models,
                device="scripted",
                ready=True,
            )
        if isinstance(request, protocol.Models):
            models = [
                protocol.ModelInfo(
                    name=name, path="/", layers=3, hidden_size=512, characters=65, held_out_loss=1.3
                )
                for name in self.models
            ]
            return protocol.ModelList(seq=request.seq, models=models, default=self.models[0])
        if isinstance(request, protocol.Score):
            # A capital surprises by 4 bits, anything else by half a bit.
            nats = [-math.log(2) * (4 if char.isupper() else 0.5) for char in request.text]
            return protocol.Scores(seq=request.seq, log_probs=nats, carry=b"carry", digest="digest")
        if isinstance(request, protocol.Status):
            status = {"pid": 1, "ready": True, "device": "scripted", "version": "scripted"}
            return protocol.Report(seq=request.seq, status={**status, "protocol": self.protocol})
        return protocol.Done(seq=request.seq)


def hung(request: protocol.Complete) -> Iterator[protocol.Message]:
    """Never answers."""
    return iter(())


def after(delay_s: float, script: Script) -> Script:
    """`script`, but `delay_s` late."""

    def slow(request: protocol.Complete) -> Iterator[protocol.Message]:
        time.sleep(delay_s)
        yield from script(request)

    return slow
