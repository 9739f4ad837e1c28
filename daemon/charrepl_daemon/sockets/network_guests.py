"""Who may connect through the network: CURVE keys, an allow-list, and the socket they guard.

The owner's own ipc socket needs none of this: its directory is closed to everybody else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket as sockets
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import zmq
import zmq.asyncio
from zmq.auth import Authenticator
from zmq.utils import z85

from charrepl.client import credentials, daemon_startup
from charrepl.errors import CharreplError, reason
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl_daemon.sockets import connections, file_descriptors
from charrepl_daemon.sockets.connections import Connection
from charrepl_daemon.sockets.router import Router

log = logging.getLogger(__name__)

NO_LONGER = "your key is no longer allowed here: ask the daemon's owner"
_DOMAIN = "charrepl"
_FAILED = b"500"  # ZeroMQ's code for it (rfc.zeromq.org/spec/27)
_KEPT_S = 1.0
_QUIET_S = 60.0  # between two mentions of the same stranger
_HANDSHAKE_MS = 10_000
_HEARTBEAT_MS = 10_000
_SILENCE_MS = 30_000


class Peer(NamedTuple):
    """A connection that asks for something."""

    identity: bytes  # what ROUTER calls it
    key: str | None = None  # the public key it has proved to hold; None for the owner, on the ipc socket
    on_lines: bool = False  # whether it speaks the line protocol; `identity` is what it calls its document

    @property
    def is_owner(self) -> bool:
        """Whether it came through the ipc socket, which only the owner can reach."""
        return self.key is None


class Guest(NamedTuple):
    """One who may connect."""

    name: str
    admin: bool


class AllowList:
    """Who may connect, by public key, as the files of `credentials` said when they were last read.

    A file that cannot be used lets nobody in, and the log says why.
    """

    def __init__(self) -> None:
        self.guests: dict[str, Guest] = {}
        self._reading = threading.Lock()
        self._problems: set[str] = set()

    def read(self) -> None:
        """Reads what the files say now. Waits for the disk: do not call it on the event loop."""
        with self._reading:
            self._read()

    def _read(self) -> None:
        guests: dict[str, Guest] = {}
        problems: set[str] = set()
        try:
            paths.check_private(paths.keys_dir())
            files = credentials.allowed_files()
        except (CharreplError, OSError) as error:
            files = []
            problems.add(reason(error))
        for file in files:
            try:
                key, admin = credentials.allowed(file)
            except CharreplError as error:
                problems.add(str(error))
            else:
                guests[credentials.encoded(key)] = Guest(file.stem, admin)
        for problem in problems - self._problems:
            log.warning("%s", problem)
        self.guests, self._problems = guests, problems


class Network:
    """The socket for other machines, on a `tcp://` endpoint, which only guests can reach.

    Raises CharreplError if this machine has no key, or nobody would be let in.
    """

    def __init__(self, endpoint: str) -> None:
        if not daemon_startup.checked(endpoint).startswith("tcp://"):
            raise CharreplError(f"cannot listen on {endpoint}: give tcp://HOST:PORT")
        self.asked = endpoint
        self.endpoint = endpoint  # numeric, and once bound, with the port that it got
        self._pair = credentials.own()
        self._allowed = AllowList()
        self._allowed.read()
        if not self._allowed.guests:
            raise CharreplError(
                f"nobody may connect to {endpoint} yet: run charrepl-daemon allow NAME KEY "
                "with the key that charrepl-daemon keygen prints on their machine"
            )
        self.refused = 0
        self._mentioned: tuple[str, float] = ("", 0.0)
        self._authenticator: _Authenticator | None = None
        self._connection_limit: file_descriptors.ConnectionLimit | None = None
        self.socket: Router

    def bind(
        self,
        socket: Router,
        *,
        most: int,
        accepted: Callable[[int], None],
        closed: Callable[[], None],
    ) -> None:
        """Makes a ROUTER listen. Needs a running event loop. Raises CharreplError if it cannot.

        Strangers have their connections closed after a while, but till then each holds a file descriptor:
        with `most` of those open, all connections are closed, and `closed` is called.
        `accepted` is told the descriptor of each.
        """
        self.socket = socket
        self._connection_limit = file_descriptors.ConnectionLimit(
            socket, "the network", most=most, accepted=accepted, closed=closed
        )
        # Before the socket, so that all who connect are checked from the first moment on.
        self._authenticator = _Authenticator(socket.context, self._allowed)
        self._authenticator.configure_curve_callback(_DOMAIN, self)
        self._authenticator.start()
        socket.curve_server = True
        socket.curve_secretkey = self._pair.secret
        socket.zap_domain = _DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without somebody to ask, nobody gets in
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _SILENCE_MS)
        try:
            self._port = _Port(_numeric(self.endpoint))
            socket.setsockopt(zmq.IPV6, "[" in self._port.endpoint)
            self._port.bind(socket)
        except (OSError, UnicodeError) as error:  # the second of a name that no host can have
            raise CharreplError(f"cannot listen on {self.endpoint}: {reason(error)}") from None
        except zmq.ZMQError as error:
            why, _, _ = error.strerror.partition(" (addr=")
            raise CharreplError(f"cannot listen on {self.endpoint}: {why}") from None
        self.endpoint = self._port.endpoint
        names = ", ".join(guest.name for guest in self._allowed.guests.values())
        log.info("listening on %s for %s", self.endpoint, names)

    async def limit(self) -> None:
        """Keeps the connections from taking too many file descriptors; runs until cancelled."""
        assert self._connection_limit is not None
        await self._connection_limit.watch(self._port)

    async def let_in(self) -> None:
        """Answers for each new connection whether its key is on the list. Runs until cancelled."""
        assert self._authenticator is not None
        await self._authenticator.run()

    async def keep_list(self) -> None:
        """Applies edits of the list to connected guests, too. Runs until cancelled."""
        while True:
            await asyncio.sleep(_KEPT_S)
            await asyncio.to_thread(self._allowed.read)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether to accept the holder of a key, given in Z85. pyzmq's authenticator calls this."""
        public = credentials.encoded(z85.decode(key))
        guest = self._allowed.guests.get(public)
        if guest is None:
            self.refused += 1
            now = time.monotonic()
            if self._mentioned[0] != public or now - self._mentioned[1] > _QUIET_S:
                self._mentioned = (public, now)
                log.warning("refused %s: to let it in, run charrepl-daemon allow NAME %s", public, public)
            return False
        log.info("let %s in%s", guest.name, ", an admin" if guest.admin else "")
        return True

    def admits(self, peer: Peer) -> bool:
        """Whether a peer may still be served: a key may be taken off the list at any time."""
        return peer.key is None or peer.key in self._allowed.guests

    def check(self, peer: Peer, request: protocol.Request) -> None:
        """Raises CharreplError with code `forbidden` if a peer asks for what only others may ask for."""
        if peer.key is None:
            return
        guest = self._allowed.guests.get(peer.key)
        if guest is None:
            raise CharreplError(NO_LONGER, code="forbidden")
        if isinstance(request, protocol.Reload | protocol.Shutdown) and not guest.admin:
            raise CharreplError(
                f"{request.__struct_config__.tag} is for the daemon's owner and admins: "
                f"there, run charrepl-daemon allow {guest.name} {peer.key} --admin",
                code="forbidden",
            )
        if model_names.is_path(getattr(request, "model", "")):
            raise CharreplError(
                "a directory names a model on the daemon's own machine only: give one of the names that "
                "charrepl models --endpoint lists",
                code="forbidden",
            )

    def status(self) -> dict[str, Any]:
        """What `charrepl-daemon status` tells of it; no names, for guests may ask too."""
        return {
            "asked": self.asked,
            "endpoint": self.endpoint,
            "allowed": len(self._allowed.guests),
            "refused": self.refused,
        }

    async def receive(self) -> tuple[Peer, Connection | None, bytes]:
        """The next request, who sent it, and through what."""
        while True:
            identity, *frames = await self.socket.receive()
            frame = frames[-1] if frames else identity
            try:
                key = frame.get("User-Id")
            except zmq.ZMQError:  # cannot happen: without a proved key, nobody gets this far
                log.error("a frame without a key: dropped")
                continue
            return (
                Peer(identity.bytes, str(key)),
                connections.connection_of(frame),
                frame.bytes if frames else b"",
            )

    def close(self) -> None:
        """Stops listening."""
        if self._authenticator is not None:
            self._authenticator.stop()
        if self._connection_limit is not None:
            self._connection_limit.close()
            self.socket.close()


class _Port:
    """A port of a ZeroMQ socket."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def bind(self, owner: zmq.Socket[Any]) -> None:
        owner.bind(self.endpoint)
        self.endpoint = owner.getsockopt_string(zmq.LAST_ENDPOINT)

    def unbind(self, owner: zmq.Socket[Any]) -> None:
        owner.unbind(self.endpoint)


class _Authenticator(Authenticator):
    """pyzmq's, in a task of the caller's: pyzmq's own task ends silently at the first error."""

    def __init__(self, context: zmq.Context[Any], allowed: AllowList) -> None:
        super().__init__(context)
        self._list = allowed

    def curve_user_id(self, client_public_key: bytes) -> str:
        return credentials.encoded(client_public_key)

    async def run(self) -> None:
        """Answers until cancelled. An error in one answer is that client's alone."""
        poller = zmq.asyncio.Poller()
        poller.register(self.zap_socket, zmq.POLLIN)
        while True:
            await poller.poll()
            request = self.zap_socket.recv_multipart()
            try:
                await asyncio.to_thread(self._list.read)
                await self.handle_zap_message(request)
            except Exception:
                log.exception("could not tell whether to let somebody in")
                self._send_zap_reply(request[1], _FAILED, b"Internal error")


def _numeric(endpoint: str) -> str:
    """`endpoint` with a host's name replaced by its address: ZeroMQ binds to those only.

    Raises OSError if the name has none.
    """
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if host == "*":
        return f"tcp://0.0.0.0:{port}"
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        found: list[Any] = sockets.getaddrinfo(host, None, sockets.AF_INET, sockets.SOCK_STREAM)
        return f"tcp://{found[0][4][0]}:{port}"
    return endpoint
