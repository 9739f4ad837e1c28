"""Replies on their way out: sent immediately, or when their reader has made room."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import zmq

from charrepl_daemon.sockets.network_guests import Peer

Request = TypeVar("Request")  # what a reply belongs to

log = logging.getLogger(__name__)

_RETRY_S = 0.005  # and twice as long each time that there is still no room
_LONGEST_RETRY_S = 0.1
_MOST = 20_000  # replies to a client that does not read
_MOST_BYTES = 64 << 20
_MOST_BYTES_IN_ALL = 256 << 20
_OVERHEAD = 200  # bytes that a reply takes besides its own


class Transport(Protocol):
    """What takes replies to clients, on any thread."""

    def send_to(self, identity: bytes, frame: bytes) -> None:
        """Sends a reply. Raises zmq.Again if there is no room yet, another ZMQError if nobody is there."""


class _Unsent(Generic[Request]):
    """What waits for one client."""

    def __init__(self) -> None:
        self.replies: deque[tuple[bytes, Request | None]] = deque()
        self.size = 0  # in bytes
        self.retry_s = _RETRY_S


class Outbox(Generic[Request]):
    """The replies of a server. Any thread may send.

    `sent` is called when a reply to a request has left; `gone` when a client has left or reads nothing, and
    what waited for it was dropped: both with `lock` held. `later` calls something after so many seconds.
    """

    def __init__(
        self,
        socket_of: Callable[[Peer], Transport],
        *,
        lock: threading.RLock,
        sent: Callable[[Request], None],
        gone: Callable[[Peer], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._socket_of = socket_of
        self._lock = lock
        self._sent = sent
        self._gone = gone
        self._later = later
        self._unsent: dict[Peer, _Unsent[Request]] = {}  # of those slow to read
        self._size = 0  # of all, in bytes

    def send(self, peer: Peer, frame: bytes, request: Request | None = None) -> None:
        """Sends a reply, after those that wait already."""
        with self._lock:
            unsent = self._unsent.setdefault(peer, _Unsent())
            unsent.replies.append((frame, request))
            self._grow(unsent, len(frame) + _OVERHEAD)
            if len(unsent.replies) == 1:
                self._send_on(peer, unsent)
            elif len(unsent.replies) > _MOST or unsent.size > _MOST_BYTES:
                log.warning("a client reads nothing: letting go of it")
                self.let_go(peer)
            while self._size > _MOST_BYTES_IN_ALL:
                log.warning("too much waits for clients that do not read: letting go of the slowest")
                self.let_go(max(self._unsent, key=lambda slow: self._unsent[slow].size))

    def _grow(self, unsent: _Unsent[Request], by: int) -> None:
        unsent.size += by
        self._size += by

    def _send_on(self, peer: Peer, unsent: _Unsent[Request]) -> None:
        with self._lock:
            if self._unsent.get(peer) is not unsent:  # it was dropped meanwhile
                return
            while unsent.replies:
                frame, request = unsent.replies[0]
                try:
                    self._socket_of(peer).send_to(peer.identity, frame)
                except zmq.Again:  # its queue is full; no event says when one client has room again
                    self._later(unsent.retry_s, lambda: self._send_on(peer, unsent))
                    unsent.retry_s = min(2 * unsent.retry_s, _LONGEST_RETRY_S)
                    return
                except zmq.ZMQError:
                    self.let_go(peer)
                    return
                unsent.replies.popleft()
                unsent.retry_s = _RETRY_S
                self._grow(unsent, -len(frame) - _OVERHEAD)
                if request is not None:
                    self._sent(request)
            del self._unsent[peer]

    def let_go(self, peer: Peer) -> None:
        """Drops what waits for a client that has left, or does not read."""
        with self._lock:
            unsent = self._unsent.pop(peer, None)
            if unsent is not None:
                self._size -= unsent.size
            self._gone(peer)
