"""The data directory whose models a daemon serves, and requests that mean another one."""

from __future__ import annotations

from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl.wire import protocol


def differs(own: str, meant: str) -> bool:
    """Whether two data directories, as from `paths.told_data_dir`, are different."""
    try:
        return own != meant and not Path(own).samefile(meant)
    except (OSError, ValueError):
        return True


def another(own: str, meant: str) -> CharreplError:
    """The error for a request that means another directory than the daemon's `own`."""
    return CharreplError(
        f"the running daemon serves the models in {own}, not those in {meant}: "
        "charrepl-daemon restart makes it serve these, "
        "and with another CHARREPL_RUNTIME_DIR a second daemon serves them",
        code="data_dir",
    )


def is_plain(own: str, request: protocol.OfModels) -> bool:
    """Whether a request plainly means the models in `own`, or a model's directory. Reads no disk."""
    return request.data_dir in ("", own) or model_names.is_path(getattr(request, "model", ""))


def check(own: str, request: protocol.OfModels) -> None:
    """Returns if a request means the models in `own`, under any path. Reads the disk.

    Raises CharreplError with code `data_dir` if it means other models.
    """
    if not is_plain(own, request) and differs(own, request.data_dir):
        raise another(own, request.data_dir)
