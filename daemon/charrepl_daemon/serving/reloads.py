"""Reloads that are asked for: each has one reply, when it is done or when the daemon stops before that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.process.supervision import soon
from charrepl_daemon.serving.replies import STOPPED
from charrepl_daemon.serving.scheduler import Scheduler
from charrepl_daemon.sockets.network_guests import Peer


class Reloads:
    """The reloads under way, of one event loop; `send` sends a reply."""

    def __init__(self, scheduler: Scheduler, send: Callable[[Peer, protocol.Reply], None]) -> None:
        self._scheduler = scheduler
        self._send = send
        self._asked: list[tuple[Peer, int]] = []

    def begin(self, peer: Peer, seq: int, directory: Path) -> None:
        """Reloads a model, and answers once that is done.

        Raises CharreplError with code `busy` if too many wait for it.
        """
        loop, asked = asyncio.get_running_loop(), (peer, seq)
        self._scheduler.reload(directory, lambda error: soon(loop, self._answer, asked, error), asker=peer)
        self._asked.append(asked)  # it is answered in a later turn of the loop

    def refuse_the_rest(self) -> None:
        """Answers those that are not done before the end."""
        for asked in list(self._asked):
            self._answer(asked, CharreplError(STOPPED, code="stopping"))

    def _answer(self, asked: tuple[Peer, int], error: CharreplError | None) -> None:
        if asked not in self._asked:
            return  # it was refused
        self._asked.remove(asked)
        peer, seq = asked
        if error is None:
            self._send(peer, protocol.Done(seq=seq))
        else:
            self._send(peer, protocol.Error(seq=seq, code=error.code, message=str(error)))
