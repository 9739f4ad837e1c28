"""Replies on their way out: sent at once, or when their reader has made room."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import zmq
import zmq.asyncio

from charrepl_daemon.jobs import Job
from charrepl_daemon.security import Peer

log = logging.getLogger(__name__)

_RETRY_S = 0.02
_MOST = 20_000  # replies to a client that does not read
_MOST_BYTES = 64 << 20


class _Unsent:
    """What waits for one client, and the timer that tries again."""

    def __init__(self) -> None:
        self.replies: deque[tuple[bytes, Job | None]] = deque()
        self.size = 0  # in bytes
        self.retrying: asyncio.TimerHandle | None = None


class Outbox:
    """The replies of a server, used by its event loop.

    `sent` is called when a reply of a job has left, `gone` when a client has left or reads nothing, and
    what waited for it was dropped.
    """

    def __init__(
        self,
        socket_of: Callable[[Peer], zmq.asyncio.Socket],
        *,
        sent: Callable[[Job], None],
        gone: Callable[[Peer], None],
    ) -> None:
        self._socket_of = socket_of
        self._sent = sent
        self._gone = gone
        self._unsent: dict[Peer, _Unsent] = {}  # of those slow to read

    def send(self, peer: Peer, frame: bytes, job: Job | None = None) -> None:
        """Sends a reply, after those that wait already."""
        unsent = self._unsent.setdefault(peer, _Unsent())
        unsent.replies.append((frame, job))
        unsent.size += len(frame)
        if len(unsent.replies) == 1:
            self._send_on(peer)
        elif len(unsent.replies) > _MOST or unsent.size > _MOST_BYTES:
            log.warning("a client reads nothing: letting go of it")
            self._let_go(peer)

    def _send_on(self, peer: Peer) -> None:
        unsent = self._unsent[peer]
        while unsent.replies:
            frame, job = unsent.replies[0]
            try:
                # Not awaited: under NOBLOCK its future is done at once. A plain socket's send would do,
                # but it swallows the event that wakes the loop for what came in meanwhile.
                sent = self._socket_of(peer).send_multipart([peer.identity, frame], zmq.NOBLOCK)
                cast("asyncio.Future[Any]", sent).result()
            except zmq.Again:  # its queue is full; there is no event for one client's having room
                unsent.retrying = asyncio.get_running_loop().call_later(_RETRY_S, self._send_on, peer)
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
        unsent = self._unsent.pop(peer)
        if unsent.retrying is not None:  # or there would be two of them at its next reply
            unsent.retrying.cancel()
        self._gone(peer)
