"""The Unix socket that the daemon listens on, made here and handed to ZeroMQ.

ZeroMQ would take away whatever is at the path when it binds. Here the socket gets its name when it
already listens, and what is taken away is what was made.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import zmq

from charrepl.errors import CharreplError, reason
from charrepl_daemon.process.lock import Identity, identity_at

_BACKLOG = 128


class Listener:
    """An ipc endpoint of a ZeroMQ socket. Whoever binds it holds the daemon's lock."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._path = Path(endpoint.removeprefix("ipc://"))
        self._made: Identity | None = None
        self._bound = ""

    def bind(self, owner: zmq.Socket[Any]) -> None:
        """Listens, in the place of whatever is at the path; connections that are there go on.

        Raises CharreplError if it cannot.
        """
        unnamed = self._path.with_name("sock.new")  # no longer than the name that it gets
        try:
            unnamed.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
                made.bind(str(unnamed))
                unnamed.chmod(0o600)
                made.setblocking(False)
                made.listen(_BACKLOG)
                owner.setsockopt(zmq.USE_FD, made.fileno())
                owner.bind(self.endpoint)
                made.detach()
            self._bound = owner.getsockopt_string(zmq.LAST_ENDPOINT)
            made_here = identity_at(unnamed)
            unnamed.rename(self._path)
            self._made = made_here
        except (OSError, zmq.ZMQError) as error:
            with contextlib.suppress(OSError):
                unnamed.unlink(missing_ok=True)
            raise CharreplError(f"cannot listen on {self.endpoint}: {reason(error)}") from None

    def unbind(self, owner: zmq.Socket[Any]) -> None:
        """Ends listening, and every connection."""
        owner.unbind(self._bound)

    def in_place(self) -> bool:
        """Whether who connects to the endpoint comes here."""
        return self._made is not None and self._made == identity_at(self._path)

    def remove(self) -> None:
        """Takes the socket away, if it is this one that is at the path."""
        with contextlib.suppress(OSError):
            if self.in_place():
                self._path.unlink()
