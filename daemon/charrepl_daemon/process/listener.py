"""The Unix socket on which the daemon listens. It is created here and given to ZeroMQ.

ZeroMQ would remove whatever is at the path when it binds. Here, the socket gets its name only when it
listens already, and only our own socket is removed.
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
    """An ipc endpoint of a ZeroMQ socket. Only the holder of the daemon's lock may bind it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._path = Path(endpoint.removeprefix("ipc://"))
        self._made: Identity | None = None
        self._bound = ""

    def bind(self, owner: zmq.Socket[Any]) -> None:
        """Listens, and replaces whatever is at the path. Existing connections stay.

        Raises CharreplError if it cannot.
        """
        unnamed = self._path.with_name("sock.new")  # not longer than the final name
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
        """Stops listening, and ends every connection."""
        owner.unbind(self._bound)

    def in_place(self) -> bool:
        """Whether new connections to the endpoint reach this socket."""
        return self._made is not None and self._made == identity_at(self._path)

    def remove(self) -> None:
        """Removes the socket, if this one is still at the path."""
        with contextlib.suppress(OSError):
            if self.in_place():
                self._path.unlink()
