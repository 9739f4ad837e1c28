"""Where charrepl keeps its files: the XDG directories. An environment variable overrides each.

CHARREPL_DATA_DIR     models, history, sessions, logs, programs  (~/.local/share/charrepl)
CHARREPL_CONFIG_DIR   config.toml, keys                          (~/.config/charrepl)
CHARREPL_RUNTIME_DIR  the daemon's sockets, lock and status file ($XDG_RUNTIME_DIR/charrepl)

If there is no home or runtime directory, /tmp/charrepl-UID is used instead.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl.system import disk_errors, user_directories

# sun_path holds 108 bytes on Linux and 104 on macOS, including the NUL at its end.
_MAX_SOCKET_BYTES = 103
_SOCKET = "daemon.sock"
_LINE_SOCKET = "daemon.line"  # no longer
_OURS = "charrepl"


def _given(variable: str) -> Path | None:
    """The directory that an environment variable names; None if it is not set.

    Raises CharreplError if our processes would not agree on which directory that is.
    """
    said = os.environ.get(variable)
    if not said:
        return None
    place = user_directories.expanded(said)
    if said.startswith("~") and not place.is_absolute():
        raise CharreplError(
            f"{variable}={said}: there is no such home directory: give a path that begins with /"
        )
    if not place.is_absolute():
        raise CharreplError(f"{variable}={said} is not an absolute path: give one that begins with / or ~/")
    return _named(place, variable)


def _named(place: Path, variable: str) -> Path:
    return utf8(place, fix=f"set {variable} to a directory whose name is")


def utf8(place: Path, *, fix: str) -> Path:
    """`place`, if its name is UTF-8, like all names that our programs exchange.

    Raises CharreplError, with the `fix`, if it is not.
    """
    try:
        os.fsencode(place).decode()
    except UnicodeDecodeError:
        raise CharreplError(f"{place} is not a UTF-8 name: {fix}") from None
    return place


def told(path: Path) -> str:
    """A path as our programs exchange it: they may run in different locales."""
    return os.fsencode(path).decode()


def told_data_dir() -> str:
    """`data_dir` as our programs exchange it: without links in its path."""
    return told(Path(os.path.realpath(data_dir())))


def _place(variable: str, kind: str) -> Path:
    return _given(variable) or _named(user_directories.base(kind) / _OURS, variable)


def check() -> None:
    """Returns if the environment names usable directories. Raises CharreplError if not."""
    for place in (data_dir, _config_dir, runtime_dir):
        place()


def data_dir() -> Path:
    """Models, history, sessions, logs and compiled programs."""
    return _place("CHARREPL_DATA_DIR", "data")


def config_file() -> Path:
    """The user's settings. The file need not exist."""
    return _config_dir() / "config.toml"


def keys_dir() -> Path:
    """The machine's secret key, and other machines' public keys. The directory need not exist."""
    return _config_dir() / "keys"


def _config_dir() -> Path:
    return _place("CHARREPL_CONFIG_DIR", "config")


def runtime_dir() -> Path:
    """The daemon's socket, lock and status file. The directory need not exist."""
    given = _given("CHARREPL_RUNTIME_DIR")
    if given is not None:
        return given
    session = user_directories.runtime(_MAX_SOCKET_BYTES - len(f"/{_OURS}/{_SOCKET}"))
    return user_directories.private() if session is None else _named(session / _OURS, "CHARREPL_RUNTIME_DIR")


def sessions_dir() -> Path:
    """A journal for each of the last sessions. Only the owner may enter."""
    return data_dir() / "sessions"


def models_dir() -> Path:
    """Trained models, one directory each."""
    return data_dir() / "models"


def compilation_cache_dir() -> Path:
    """Compiled XLA programs. They are executed without checks, so only the owner may write here."""
    return data_dir() / "compiled"


def log_file() -> Path:
    """The daemon's log."""
    return data_dir() / "logs" / "daemon.log"


def lock_file() -> Path:
    """The daemon holds this lock while it lives."""
    return runtime_dir() / "daemon.lock"


def starts_file() -> Path | None:
    """Counts failed starts of a daemon. None if there is no place for the file."""
    try:
        return private_dir(runtime_dir()) / "starts"
    except CharreplError:
        return None


def status_file() -> Path:
    """The daemon's pid and endpoint. `stop` needs it when the socket does not answer."""
    return runtime_dir() / "daemon.json"


def endpoint() -> str:
    """The ZeroMQ endpoint of this user's daemon.

    Raises CharreplError if the path is longer than a Unix socket address can be.
    """
    path = runtime_dir() / _SOCKET
    if len(os.fsencode(path)) > _MAX_SOCKET_BYTES:
        raise CharreplError(
            f"{path} is too long for a Unix socket ({_MAX_SOCKET_BYTES} bytes at most): "
            "set CHARREPL_RUNTIME_DIR to a shorter directory"
        )
    return f"ipc://{path}"


def line_socket() -> Path:
    """The Unix socket at which this user's daemon speaks the line protocol."""
    return runtime_dir() / _LINE_SOCKET


def private_dir(path: Path) -> Path:
    """`path`, created if it is missing. Checks that only this user can enter it.

    Raises CharreplError as `check_private` does, and if it cannot be created.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        check_private(path)  # if something is in its place, this error says what
        raise CharreplError(
            f"cannot create {path}: {reason(error)}: "
            f"{disk_errors.advice(error, f'or set {_variable(path)} to another place')}"
        ) from None
    check_private(path)
    return path


def check_private(path: Path) -> None:
    """Returns if only this user can enter the directory `path`, or if it does not exist.

    Raises CharreplError if it is a symlink, not a directory, another user's, or open to others.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise CharreplError(
            f"cannot look at {path}: {reason(error)}; set {_variable(path)} to a directory of your own"
        ) from None
    if stat.S_ISLNK(found.st_mode):
        raise CharreplError(f"{path} is a symlink: remove it, or set {_variable(path)} to a real directory")
    if not stat.S_ISDIR(found.st_mode):
        raise CharreplError(f"{path} is not a directory: remove it, or set {_variable(path)} to one")
    if found.st_uid != os.geteuid():
        raise CharreplError(
            f"{path} belongs to user {found.st_uid}, not to you: "
            f"set {_variable(path)} to a directory of your own"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise CharreplError(f"{path} is open to other users: {_closing(path)}")


def _closing(path: Path) -> str:
    """How to keep others out of `path`. Others may need access to it, if it is /tmp or a home."""
    variable = _variable(path)
    if str(path) == os.environ.get(variable) and (path.is_mount() or not _is_our_own(path)):
        return f"set {variable} to a directory of its own, such as {path / _OURS}"
    return f"run chmod 700 {path}"


def _is_our_own(place: Path) -> bool:
    """Whether a runtime directory contains only what daemons leave there."""
    return all(entry.name.startswith("daemon.") for entry in place.iterdir())


def _variable(path: Path) -> str:
    """The environment variable that moves `path` elsewhere."""
    if path.is_relative_to(keys_dir()):
        return "CHARREPL_CONFIG_DIR"
    return "CHARREPL_DATA_DIR" if path.is_relative_to(data_dir()) else "CHARREPL_RUNTIME_DIR"
