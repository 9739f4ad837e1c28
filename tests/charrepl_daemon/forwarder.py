"""A TCP balancer in miniature: forwards connections to a backend that can be changed under them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Self


class Forwarder:
    """Listens on `port` and forwards to the port `backend`; None closes each connection at once."""

    def __init__(self, backend: int | None) -> None:
        self._backend = backend
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.move(None)
        for thread in self._threads:
            thread.join(10)

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def move(self, backend: int | None) -> int:
        """Forwards to another backend from now on and cuts what is connected; returns how many that were."""
        with self._lock:
            self._backend = backend
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._backend is None:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._backend))
                pair = (client, server)
                self._pairs.append(pair)
            for source, sink in (pair, pair[::-1]):
                self._run(self._pump, source, sink, pair)

    def _pump(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
                return  # the other pump closes them
        for end in pair:
            end.close()
