"""The greeting: what someone new needs to know, under the line until the first key."""

from __future__ import annotations

from collections.abc import Mapping

from charrepl.errors import CharreplError
from charrepl.settings import keymap
from charrepl.system import paths

# About how long it takes to start the daemon, and with its programs still to be compiled.
START_S, FIRST_START_S = 2, 5


def greeting(keys: Mapping[str, keymap.Keys], *, preparing: bool, plain: bool = False) -> str:
    """How a ghost is taken, where there is more, and, while it is prepared, how long the model takes."""
    take = next(iter(keys["take"]), "")
    parts = (
        [f"{take} {'says how the line may go on, and takes it' if plain else 'takes the grey text'}"]
        if take
        else []
    )
    parts.append("/help says the rest" if plain else "/help")
    if preparing:
        parts.append(f"the model is being prepared, about {_start_s()} s")
    return "; ".join(parts) if plain else " · ".join(parts)


def nothing_entered_yet() -> bool:
    """Whether no line was ever entered, as far as is known."""
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
