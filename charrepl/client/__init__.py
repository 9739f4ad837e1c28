"""Clients of the daemon, for scripts and for programs with an event loop. They start a daemon if none runs.

Import `Client`, `AsyncClient` and `ConnectionState` from here. Nothing here knows how a ghost is drawn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charrepl.client.async_client import AsyncClient, ConnectionState
    from charrepl.client.client import Client

__all__ = ["AsyncClient", "Client", "ConnectionState"]

_MODULES = {"AsyncClient": "async_client", "Client": "client", "ConnectionState": "async_client"}


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used. A program that only looks for a daemon does not load ZeroMQ."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
