"""Ghost text from a character-level LSTM: the REPL, the client and the wire. Never imports jax.

The names in `__all__` are public, and docs/api.md describes them; `wire.protocol` is public too. Everything
else may move.
"""

from charrepl.version import __version__ as __version__

TYPE_CHECKING = False  # as in typing, whose import would delay every start
if TYPE_CHECKING:
    from charrepl.autosuggest import GhostSuggest
    from charrepl.client.async_client import AsyncClient, ConnectionState
    from charrepl.client.client import Client, Completion
    from charrepl.errors import CharreplError, ConnectionLostError, DaemonUnavailableError
    from charrepl.wire.protocol import Decoding

__all__ = [
    "AsyncClient",
    "CharreplError",
    "Client",
    "Completion",
    "ConnectionLostError",
    "ConnectionState",
    "DaemonUnavailableError",
    "Decoding",
    "GhostSuggest",
]

_MODULES = {
    "AsyncClient": "client",
    "CharreplError": "errors",
    "Client": "client",
    "Completion": "client.client",
    "ConnectionLostError": "errors",
    "ConnectionState": "client",
    "DaemonUnavailableError": "errors",
    "Decoding": "wire.protocol",
    "GhostSuggest": "autosuggest",
}


def __getattr__(name: str) -> object:
    """Imports a name when it is first used, so that our programs start without ZeroMQ."""
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
