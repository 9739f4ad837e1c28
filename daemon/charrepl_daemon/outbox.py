"""Replies on their way out: sent at once, or when their reader has made room."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

import zmq

from charrepl_daemon.jobs import Job
from charrepl_daemon.router import Router
from charrepl_daemon.security import Peer

log = logging.getLogger(__name__)

_RETRY_S = 0.02
_MOST = 20_000  # replies to a client that does not read
_MOST_BYTES = 64 << 20


class _Unsent:
    """What waits for one client."""

    def __init__(self) -> None:
        self.replies: deque[tuple[bytes, Job | None]] = deque()
        self.size = 0  # in bytes


class Outbox:
    """The replies of a server. Any thread may send.

    `sent` is called when a reply of a job has left; `gone` when a client has left or reads nothing, and what
    waited for it was dropped: both with `lock` held. `later` has something called after so many seconds.
    """

    def __init__(
        self,
        socket_of: Callable[[Peer], Router],
        *,
        lock: threading.RLock,
        sent: Callable[[Job], None],
        gone: Callable[[Peer], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._socket_of = socket_of
        self._lock = lock
        self._sent = sent
        self._gone = gone
        self._later = later
        self._unsent: dict[Peer, _Unsent] = {}  # of those slow to read

    def send(self, peer: Peer, frame: bytes, job: Job | None = None) -> None:
        """Sends a reply, after those that wait already."""
        with self._lock:
            unsent = self._unsent.setdefault(peer, _Unsent())
            unsent.replies.append((frame, job))
            unsent.size += len(frame)
            if len(unsent.replies) == 1:
                self._send_on(peer, unsent)
            elif len(unsent.replies) > _MOST or unsent.size > _MOST_BYTES:
                log.warning("a client reads nothing: letting go of it")
                self._let_go(peer)

    def _send_on(self, peer: Peer, unsent: _Unsent) -> None:
        with self._lock:
            if self._unsent.get(peer) is not unsent:  # it was let go of meanwhile
                return
            while unsent.replies:
                frame, job = unsent.replies[0]
                try:
                    self._socket_of(peer).send_to(peer.identity, frame)
                except zmq.Again:  # its queue is full; there is no event for one client's having room
                    self._later(_RETRY_S, lambda: self._send_on(peer, unsent))
                    return
                except zmq.ZMQError:
                    self._let_go(peer)
                    return
                unsent.replies.popleft()
                unsent.size -= len(frame)
                if job is not None:
                    self._sent(job)
            del self._unsent[peer]

    def _let_go(self, peer: Peer) -> None:
        del self._unsent[peer]
        self._gone(peer)
