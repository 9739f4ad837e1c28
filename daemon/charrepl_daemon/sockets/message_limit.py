"""Ends connections that send a message without an end. Others that are hit reconnect immediately."""

from __future__ import annotations

import asyncio
import logging

from charrepl_daemon.metrics.counters import Metrics
from charrepl_daemon.metrics.declarations import CLIENTS_LET_GO
from charrepl_daemon.process.memory import Unfinished, give_back
from charrepl_daemon.sockets import connections
from charrepl_daemon.sockets.connections import Connections

log = logging.getLogger(__name__)

_MOST_BYTES = 128 << 20  # of messages that do not come to an end
_LOOK_S = 0.5


async def cut_off(known: Connections, metrics: Metrics) -> None:
    """Watches them until cancelled. Where the system does not tell, nobody is cut off."""
    unfinished = Unfinished()
    while True:
        await asyncio.sleep(_LOOK_S)
        unfinished.look()
        silent = known.look()  # in any case: it forgets those that have gone
        if unfinished.held_bytes < _MOST_BYTES:
            continue
        senders = connections.endless(silent)
        log.warning("a message does not end: connections cut off: %d", len(senders))
        for connection in senders:
            connections.cut(connection)
        metrics.count(CLIENTS_LET_GO, len(senders))
        await asyncio.sleep(_LOOK_S)  # ZeroMQ's thread frees it
        await asyncio.to_thread(give_back)
        unfinished = Unfinished()
