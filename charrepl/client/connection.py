"""What both clients do in the same way: where and how they connect, and what a reply means."""

from __future__ import annotations

import errno
import socket as sockets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from charrepl.client import credentials
from charrepl.errors import CharreplError, ConnectionLostError, DaemonUnavailableError, reason
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.version import __version__
from charrepl.wire import protocol
from charrepl.wire.protocol import Reply, Request

ANSWER_S = 10.0  # for a connection, and for the answer to `hello`
_REACH_S = 5.0
_AT_ONCE_S = 4.0  # less than half of the time that a daemon gives a handshake
_NOT_ALLOWED = 400  # the daemon's code for it (rfc.zeromq.org/spec/27)
_HEARTBEAT_MS = 5_000
_SILENCE_MS = 15_000

# Possible outcomes of an attempt to connect through the network, and the end of a connection.
OUTCOMES = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
)

# What every ZeroMQ 4 peer sends first (ZMTP 3.0, rfc.zeromq.org/spec/23): a signature, and its mechanism.
_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)

# Sent to a daemon that has been silent for ANSWER_S. The thread that answers it never computes, so a daemon
# that does not answer this either is not running. No request has its number.
SIGN_OF_LIFE = protocol.Status(seq=0)

R = TypeVar("R", bound=protocol.Message)


def own_endpoint() -> str:
    """The endpoint of this user's daemon.

    Raises CharreplError if another user could be listening there and so read what you type.
    """
    paths.check_private(paths.runtime_dir())
    return paths.endpoint()


def is_remote(endpoint: str) -> bool:
    """Whether an endpoint is on the network, and so needs keys."""
    return endpoint.startswith("tcp://")


def reach(endpoint: str) -> str:
    """The numeric address that answers behind a `tcp://` endpoint.

    Blocks for a few seconds at most. Raises DaemonUnavailableError if no ZeroMQ socket that asks for keys
    answers there. ZeroMQ itself would silently go on trying.
    """
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    said = b""
    try:
        with sockets.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S) as probe:
            address = probe.getpeername()[0]
            probe.sendall(_GREETING)
            while len(said) < len(_GREETING) and (piece := probe.recv(len(_GREETING) - len(said))):
                said += piece
        if not said:
            raise ConnectionResetError(errno.ECONNRESET, "the connection is closed at once")
    except (OSError, UnicodeError) as error:  # UnicodeError for a name that no host can have
        raise DaemonUnavailableError(
            f"cannot reach {endpoint}: {reason(error)}; is charrepl-daemon start --endpoint running there?"
        ) from None
    mechanism = said[12:32].rstrip(b"\0") if said.startswith(_GREETING[:1]) else b""
    if mechanism != b"CURVE":
        what = f"ZeroMQ with {mechanism.decode('ascii', 'replace')!r}" if mechanism else "not ZeroMQ"
        raise DaemonUnavailableError(
            f"what answers at {endpoint} is not a charrepl daemon, it speaks {what}: check host and port"
        )
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


def configure(socket: zmq.Socket[Any], endpoint: str) -> None:
    """Sets up a client's socket before it connects to the address that `reach` finds.

    Raises CharreplError if a key is missing or its file is damaged.
    """
    socket.linger = 0
    # Without this, messages queued for a dead daemon would be sent to the next one.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, 64 << 20)
    if is_remote(endpoint):
        # Checked first: the command that adds a missing daemon key makes this machine's own key as well.
        socket.curve_serverkey = credentials.trusted(endpoint)
        pair = credentials.own()
        socket.curve_secretkey = pair.secret
        socket.curve_publickey = pair.public
        # A machine that loses its power does not say goodbye.
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _SILENCE_MS)
        socket.setsockopt(zmq.IPV6, 1)
        # After a lost connection we make a new socket, because the name may now mean another address.
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
    else:
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)


# What belongs to the parent. ZeroMQ's threads are not in a forked child, and closing would wait for them.
_parents: list[object] = []


def leave_to_parent(*theirs: object) -> None:
    """Keeps the parent's ZeroMQ objects in a forked child forever, so that they are never closed there."""
    _parents.extend(theirs)


def absent(endpoint: str | None) -> DaemonUnavailableError:
    """The error if nobody listens at an endpoint that was given, or at this user's own."""
    if endpoint:
        return DaemonUnavailableError(
            f"no daemon listens at {endpoint}: charrepl-daemon status says where yours does"
        )
    return DaemonUnavailableError("no daemon is running: start it with charrepl-daemon start")


def silent(endpoint: str) -> DaemonUnavailableError:
    """The error if a daemon is there but does not answer."""
    if is_remote(endpoint):
        return DaemonUnavailableError(
            f"the daemon at {endpoint} does not answer: run charrepl-daemon restart there"
        )
    return DaemonUnavailableError("the daemon does not answer: run charrepl-daemon restart")


def lost(endpoint: str | None) -> ConnectionLostError:
    """The error if a connection is lost before the answer: to an endpoint that was given, or one's own."""
    if endpoint and is_remote(endpoint):
        return ConnectionLostError(
            f"the connection to {endpoint} was lost before the answer came: run the command again"
        )
    return ConnectionLostError("the daemon died while answering: run the command again")


def refusal(endpoint: str, outcome: Mapping[str, Any] | None, *, after_s: float) -> CharreplError:
    """The error if a `tcp://` endpoint was reached but refused us: why, and what to do.

    `outcome` is the first event of OUTCOMES, and came `after_s`. None if no event came in time.
    """
    event = outcome and outcome["event"]
    if outcome and event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        if outcome["value"] != _NOT_ALLOWED:
            return CharreplError(
                f"the daemon at {endpoint} could not check whether this machine is allowed: "
                "ask its owner to look at charrepl-daemon logs"
            )
        key = credentials.encoded(credentials.own().public)
        return CharreplError(
            f"the daemon at {endpoint} does not allow this machine: "
            f"on its machine, run charrepl-daemon allow NAME {key}",
            code="forbidden",
        )
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL and after_s < _AT_ONCE_S:
        # It could not read what we encrypted for the owner of the trusted key, and hung up. A daemon
        # without time to answer hangs up too, but later.
        return CharreplError(
            f"the daemon at {endpoint} has a different key than the one you trust: if its owner changed it, "
            f"run charrepl-daemon trust {endpoint} KEY --force with its new key",
            code="untrusted",
        )
    return silent(endpoint)


def data_dir(endpoint: str | None) -> str:
    """The data directory to send with requests. Empty if the daemon uses its own.

    Raises CharreplError if the path cannot be a data directory.
    """
    return "" if endpoint else paths.told_data_dir()


def addressed(request: Request, *, seq: int, data_dir: str) -> Request:
    """A request, completed for sending."""
    if isinstance(request, protocol.OfModels):
        request = msgspec.structs.replace(request, data_dir=data_dir)
    model = getattr(request, "model", "")
    if model_names.is_path(model):
        request = msgspec.structs.replace(request, model=paths.told(Path(model)))
    return msgspec.structs.replace(request, seq=seq)


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
    """The answer to `hello`. Raises CharreplError if the daemon refuses, or is not a daemon."""
    return expect(checked(reply), protocol.Welcome)
