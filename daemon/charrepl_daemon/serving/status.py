"""What `status` tells of a daemon: to its owner, to guests, and to Prometheus."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from charrepl.version import __version__
from charrepl.wire import protocol
from charrepl_daemon.metrics.counters import Snapshot, Writers
from charrepl_daemon.metrics.declarations import ACTIVE_S
from charrepl_daemon.process.failures import stamp
from charrepl_daemon.process.listener import Listener
from charrepl_daemon.serving.scheduler import Scheduler
from charrepl_daemon.sockets.network_guests import Network, Peer


class Status:
    """The status of one daemon, from the moment it is made; `stopping` says whether it was told to stop."""

    def __init__(
        self,
        scheduler: Scheduler,
        listener: Listener,
        *,
        device: str,
        data_dir: str,
        network: Network | None,
        stopping: Callable[[], bool],
        predecessor: dict[str, Any] | None,
        not_written: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._scheduler = scheduler
        self._metrics = scheduler.metrics
        self._listener = listener
        self._device = device
        self._data_dir = data_dir
        self._network = network
        self._stopping = stopping
        self._began = time.monotonic()
        self._started_at = stamp()
        self._writers = Writers(ACTIVE_S)
        self._predecessor = predecessor
        self._not_written = not_written
        self.metrics_url: str | None = None  # once they are served

    def typed(self, peer: Peer, session: str) -> None:
        """Records a key."""
        self._writers.typed(peer, session, time.monotonic())

    def tell(self, asker: Peer | None = None) -> dict[str, Any]:
        """What `charrepl-daemon status --json` prints; `active` leaves the asker's sessions out."""
        loaded = [engine.stats() for engine in self._scheduler.library.engines()]
        status = {
            "pid": os.getpid(),
            "version": __version__,
            "protocol": protocol.PROTOCOL,
            "endpoint": self._listener.endpoint,
            "data_dir": self._data_dir,
            "network": self._network.status() if self._network else None,
            "device": self._device,
            "ready": bool(loaded) and not self._stopping(),
            "started_at": self._started_at,
            "uptime_s": round(time.monotonic() - self._began, 1),
            "active": self._active(asker),
            "active_s": ACTIVE_S,
            "sessions": sum(model["sessions"] for model in loaded),
            "waiting": self._scheduler.waiting(),
            "compiles_while_serving": self._scheduler.compiles,
            **self._metrics.report(),
            "models": loaded,
            "not_written": self._not_written(),
            "predecessor": self._predecessor,
            "metrics_url": self.metrics_url,
        }
        if asker is not None and not asker.is_owner:  # the owner's directories are nobody else's business
            status["models"] = [{**model, "path": ""} for model in loaded]
            status["data_dir"] = ""
            status["faults"]["not_loaded"] = status["not_written"] = []
        return status

    def _active(self, asker: Peer | None) -> int:
        """Sessions at work, of connections besides the asker's."""
        typing = self._writers.besides(asker, time.monotonic())
        reading = {job.connection for job in self._scheduler.unfinished()} - {peer for peer, _ in typing}
        return len(typing) + len(reading - {asker})

    def latencies(self) -> dict[str, Snapshot]:
        """The histograms of what is timed of ghosts."""
        return {name: stage.snapshot() for name, stage in self._metrics.stages.items()}
