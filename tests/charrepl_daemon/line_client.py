"""A client of the line socket, as one in any shell could be."""

from __future__ import annotations

import contextlib
import socket
from typing import Self

from charrepl.system import paths
from tests.waiting import DEADLINE_S


class Line:
    """A connection to the daemon's line socket."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(paths.line_socket()))  # without a time: one that is full would be an error
        self.socket.settimeout(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, *frames: str | bytes) -> None:
        said = [frame if isinstance(frame, bytes) else frame.encode() for frame in frames]
        self.socket.sendall(b"".join(frame + b"\0" for frame in said))

    def hear(self) -> str:
        """The next answer. Raises ConnectionResetError if the connection has ended."""
        answer = bytearray()
        while not answer.endswith(b"\0"):
            piece = self.socket.recv(1)
            if not piece:
                raise ConnectionResetError
            answer += piece
        return answer[:-1].decode()

    def ask(self, *frames: str | bytes) -> str:
        self.say(*frames)
        return self.hear()

    @property
    def has_ended(self) -> bool:
        """Whether the daemon has ended the connection, having waited for something to come."""
        with contextlib.suppress(ConnectionResetError):
            return not self.socket.recv(1)
        return True
