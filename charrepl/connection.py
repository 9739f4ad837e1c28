"""What both clients do alike: where they connect, how, and what a reply means."""

from __future__ import annotations

from typing import Any, TypeVar

import zmq

from charrepl import __version__, paths, protocol
from charrepl.errors import CharreplError
from charrepl.protocol import Reply

ANSWER_S = 10.0  # for a connection, and for the answer to `hello`

R = TypeVar("R", bound=protocol.Message)


def own_endpoint() -> str:
    """The endpoint of this user's daemon.

    Raises CharreplError if another user could be listening there: what is typed would go to them.
    """
    paths.check_private(paths.runtime_dir())
    return paths.endpoint()


def configure(socket: zmq.Socket[Any]) -> None:
    """Sets the options of a client's socket; before it connects."""
    socket.linger = 0
    # Without this, messages queued for a dead daemon would be replayed to the one after it.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    socket.setsockopt(zmq.MAXMSGSIZE, 64 << 20)


def hello(seq: int) -> protocol.Hello:
    """What a client says first."""
    return protocol.Hello(seq=seq, protocol=protocol.PROTOCOL, version=__version__)


def checked(reply: Reply) -> Reply:
    """`reply`. Raises CharreplError, as the daemon put it, if it is an error."""
    if isinstance(reply, protocol.Error):
        raise CharreplError(reply.message, code=reply.code)
    return reply


def expect(reply: Reply, kind: type[R]) -> R:
    """`reply`, which should be a `kind`. Raises CharreplError if it is not."""
    if not isinstance(reply, kind):
        raise CharreplError(f"the daemon answered with {type(reply).__name__}: run charrepl-daemon restart")
    return reply


def welcomed(reply: Reply) -> protocol.Welcome:
    """The answer to `hello`. Raises CharreplError if the daemon refuses, or is none."""
    return expect(checked(reply), protocol.Welcome)
