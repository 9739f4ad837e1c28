"""The greeting: what a new user needs to know. It is shown under the line until the first key."""

from __future__ import annotations

from collections.abc import Mapping

from charrepl.errors import CharreplError
from charrepl.settings import keymap
from charrepl.system import paths

# About how long the daemon takes to start, and how long when it must compile its programs first.
START_S, FIRST_START_S = 2, 5


def greeting(keys: Mapping[str, keymap.Keys], *, preparing: bool, plain: bool = False) -> str:
    """Says how to take a ghost, where to read more, and how long the model still takes to be prepared."""
    take = next(iter(keys["take"]), "")
    parts = (
        [f"{take} {'says how the line may continue, and takes it' if plain else 'takes the grey text'}"]
        if take
        else []
    )
    parts.append("/help says the rest" if plain else "/help")
    if preparing:
        parts.append(f"the model is being prepared, about {_start_s()} s")
    return "; ".join(parts) if plain else " · ".join(parts)


def nothing_entered_yet() -> bool:
    """Whether there is no history, so that probably no line was ever entered."""
    try:
        return not (paths.data_dir() / "history").exists()
    except (CharreplError, OSError):
        return False


def _start_s() -> int:
    try:
        compiled = next(paths.compilation_cache_dir().glob("*.program"), None)
    except (CharreplError, OSError):
        compiled = None
    return START_S if compiled else FIRST_START_S
