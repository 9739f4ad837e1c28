"""Ghosts in IPython: `%load_ext charrepl.ipython`, and `%unload_ext` for what was there before."""

from __future__ import annotations

from typing import Any

from charrepl.errors import CharreplError
from charrepl.system.standard_streams import echo

_BEFORE = "_charrepl_auto_suggest_before"  # on the shell, so that a reload of this module finds it


def load_ipython_extension(shell: Any) -> None:
    """Shows ghosts. The cells of the session go along as text."""
    app = getattr(shell, "pt_app", None)
    if app is None:
        echo("charrepl: this IPython has no prompt in a terminal, and so no ghosts")
        return
    from charrepl.autosuggest import GhostSuggest

    try:
        ghosts = GhostSuggest(earlier=lambda: shell.history_manager.input_hist_raw[1:])
    except CharreplError as error:
        echo(f"charrepl: {error}")
        return
    if why_off := ghosts.why_off:
        echo(f"charrepl: {why_off}")
    setattr(shell, _BEFORE, shell.auto_suggest)
    disconnect = getattr(shell.auto_suggest, "disconnect", None)
    if disconnect is not None:
        disconnect()
    # Both: the first is what draws and asks, the second is what the keys for IPython's own look at.
    app.auto_suggest = shell.auto_suggest = ghosts


def unload_ipython_extension(shell: Any) -> None:
    """Shows again what was shown before."""
    if hasattr(shell, _BEFORE):
        shell.pt_app.auto_suggest = shell.auto_suggest = getattr(shell, _BEFORE)
        delattr(shell, _BEFORE)
        connect = getattr(shell.auto_suggest, "connect", None)
        if connect is not None:
            connect(shell.pt_app)
