"""Where charrepl keeps its files: the XDG places, each overridable by one environment variable.

CHARREPL_DATA_DIR     models, history, logs, compiled programs   (~/.local/share/charrepl)
CHARREPL_CONFIG_DIR   config.toml                                (~/.config/charrepl)
CHARREPL_RUNTIME_DIR  the daemon's socket, lock and status file  ($XDG_RUNTIME_DIR/charrepl)
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from charrepl.errors import CharreplError, reason

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
_MAX_SOCKET_BYTES = 103


def _place(variable: str, kind: str) -> Path:
    override = os.environ.get(variable)
    if override:
        return Path(override).absolute()
    import platformdirs  # only where no override is set: it is read at every start

    return Path(getattr(platformdirs, f"user_{kind}_dir")("charrepl", appauthor=False))


def data_dir() -> Path:
    """Models, history, logs and compiled programs."""
    return _place("CHARREPL_DATA_DIR", "data")


def config_file() -> Path:
    """The user's settings; need not exist."""
    return _place("CHARREPL_CONFIG_DIR", "config") / "config.toml"


def runtime_dir() -> Path:
    """The daemon's socket, lock and status file; need not exist."""
    override = os.environ.get("CHARREPL_RUNTIME_DIR")
    if not override and not os.environ.get("XDG_RUNTIME_DIR"):
        # platformdirs falls back on /run/user/UID, which only a login session creates.
        import tempfile

        return Path(tempfile.gettempdir()) / f"charrepl-{os.getuid()}"
    return _place("CHARREPL_RUNTIME_DIR", "runtime")


def models_dir() -> Path:
    """Trained models, one directory each."""
    return data_dir() / "models"


def compilation_cache_dir() -> Path:
    """Compiled XLA programs. They are executed as they are, so only the owner may write here."""
    return data_dir() / "compiled"


def log_file() -> Path:
    """The daemon's log."""
    return data_dir() / "logs" / "daemon.log"


def lock_file() -> Path:
    """Held by the daemon for as long as it lives."""
    return runtime_dir() / "daemon.lock"


def status_file() -> Path:
    """The daemon's pid and endpoint, for `stop` when the socket does not answer."""
    return runtime_dir() / "daemon.json"


def endpoint() -> str:
    """The ZeroMQ endpoint of this user's daemon.

    Raises CharreplError if the path is longer than a Unix socket address can be.
    """
    path = runtime_dir() / "daemon.sock"
    if len(os.fsencode(path)) > _MAX_SOCKET_BYTES:
        raise CharreplError(
            f"{path} is too long for a Unix socket ({_MAX_SOCKET_BYTES} bytes at most): "
            "set CHARREPL_RUNTIME_DIR to a shorter directory"
        )
    return f"ipc://{path}"


def private_dir(path: Path) -> Path:
    """`path`, created if missing, after checking that only this user can enter it.

    Raises CharreplError if it is a symlink, not a directory, another user's, open to others, or
    cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except FileExistsError:
        found = path.lstat()
    except OSError as error:
        raise CharreplError(
            f"cannot create {path}: {reason(error)}; create it or choose another place"
        ) from None
    if stat.S_ISLNK(found.st_mode):
        raise CharreplError(
            f"{path} is a symlink: remove it, or set CHARREPL_RUNTIME_DIR to a real directory"
        )
    if not stat.S_ISDIR(found.st_mode):
        raise CharreplError(f"{path} is not a directory: remove it, or name another place")
    if found.st_uid != os.geteuid():
        raise CharreplError(
            f"{path} belongs to user {found.st_uid}, not to you: name a directory of your own instead"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise CharreplError(f"{path} is open to other users: run chmod 700 {path}")
    return path
