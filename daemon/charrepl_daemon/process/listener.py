"""The Unix sockets on which the daemon listens. They are created here and given to ZeroMQ and others.

ZeroMQ would remove whatever is at the path when it binds. Here, a socket gets its name only when it
listens already, and only our own socket is removed.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from charrepl.errors import CharreplError, reason
from charrepl_daemon.process.lock import Identity, identity_at

_BACKLOG = 128


class ListeningPath:
    """A path at which this daemon listens. Only the holder of the daemon's lock may listen there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: Identity | None = None

    def listen(self, accept_with: Callable[[socket.socket], None]) -> None:
        """Listens, and replaces whatever is at the path. Existing connections stay.

        `accept_with` gets the socket and owns it from then on. Raises CharreplError if it cannot.
        """
        unnamed = self.path.with_name(f"{self.path.suffix[1:]}.new")  # not longer than the final name
        try:
            unnamed.unlink(missing_ok=True)
            with contextlib.ExitStack() as unless_taken:
                made = unless_taken.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                made.bind(str(unnamed))
                unnamed.chmod(0o600)
                made.setblocking(False)
                made.listen(_BACKLOG)
                accept_with(made)
                unless_taken.pop_all()
            made_here = identity_at(unnamed)
            unnamed.rename(self.path)
            self._made = made_here
        except (OSError, zmq.ZMQError) as error:
            with contextlib.suppress(OSError):
                unnamed.unlink(missing_ok=True)
            raise CharreplError(f"cannot listen on {self.path}: {reason(error)}") from None

    def in_place(self) -> bool:
        """Whether new connections to the path reach this socket."""
        return self._made is not None and self._made == identity_at(self.path)

    def remove(self) -> None:
        """Removes the socket, if this one is still at the path."""
        with contextlib.suppress(OSError):
            if self.in_place():
                self.path.unlink()


class Listener(ListeningPath):
    """An ipc endpoint of a ZeroMQ socket."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(Path(endpoint.removeprefix("ipc://")))
        self.endpoint = endpoint
        self._bound = ""

    def bind(self, owner: zmq.Socket[Any]) -> None:
        """Has a ZeroMQ socket listen. Raises CharreplError if it cannot."""

        def accept_with(made: socket.socket) -> None:
            owner.setsockopt(zmq.USE_FD, made.fileno())
            owner.bind(self.endpoint)
            made.detach()
            self._bound = owner.getsockopt_string(zmq.LAST_ENDPOINT)

        self.listen(accept_with)

    def unbind(self, owner: zmq.Socket[Any]) -> None:
        """Stops listening, and ends every connection."""
        owner.unbind(self._bound)
