"""A running daemon reads a model anew that was trained meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path

from charrepl.client import daemon_startup
from charrepl.client.client import Client
from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl.wire import protocol

_MOST_S = 60.0


def reload(directory: Path) -> None:
    """Has a running daemon reload the model of a directory, if it has it in memory.

    It loads any other when that is first used, so a failure does no harm, and is ignored.
    """
    with contextlib.suppress(CharreplError):
        if not daemon_startup.is_listening(paths.endpoint()):
            return
        with Client(autostart=False) as client:
            if any(model["path"] == str(directory) for model in client.status()["models"]):
                client.ask(protocol.Reload(seq=0, model=str(directory)), timeout_s=_MOST_S)
