"""A user's own directories, as in the XDG specification, and a private directory if those do not exist.

All processes of a user find the same directories, whichever shell, session, container or `sudo` started them.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

_BELOW_HOME = {"data": ".local/share", "config": ".config"}
# Everybody may create directories here. We ignore TMPDIR, because it may differ between shells.
_PUBLIC = ("/tmp", "/var/tmp", "/dev/shm")
_SESSIONS = Path("/run/user")  # has a directory for each user who is logged in


def expanded(path: str | Path) -> Path:
    """`path` with `~` or `~user` at its beginning replaced, if that directory exists."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def base(kind: str) -> Path:
    """Where programs keep their `data` or `config`. In the private directory if there is no home."""
    xdg, home = os.environ.get(f"XDG_{kind.upper()}_HOME", ""), _home()
    if _is_absolute(xdg) and not _is_left_behind(Path(xdg), home):
        return Path(xdg)
    if home is None:
        return private() / kind
    return home / ("Library/Application Support" if sys.platform == "darwin" else _BELOW_HOME[kind])


def runtime(longest: int) -> Path | None:
    """Where programs keep their sockets while a user is logged in; None if there is no such directory.

    longest: of its name, in bytes, because a socket's path cannot be long.
    """
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(named)] if _is_absolute(named) else []
    for place in (*places, _SESSIONS / str(os.geteuid())):
        if len(os.fsencode(place)) <= longest and _is_ours_alone(place):
            return place
    return None


def private() -> Path:
    """A directory that only this user can enter. It is created if necessary.

    If that is impossible, the first one that was tried. Its use then fails with an error that says why.
    """
    places = private_places()
    return next(filter(_is_private, places), places[0])


def private_places() -> list[Path]:
    """The directories that `private` tries, in order. They need not exist."""
    return [Path(public) / f"charrepl-{os.geteuid()}" for public in _PUBLIC]


def _is_private(place: Path) -> bool:
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _is_ours_alone(place: Path) -> bool:
    """Whether nobody else can write there."""
    try:
        found = place.stat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return ours and os.access(place, os.W_OK | os.X_OK)


def _is_absolute(name: str) -> bool:
    return Path(name).is_absolute()  # the specification says to ignore others


def _is_left_behind(place: Path, home: Path | None) -> bool:
    """Whether a directory is in the home of the user who became root, for example with `sudo`."""
    named = os.environ.get("HOME", "")
    return not os.geteuid() and bool(named) and home != Path(named) and place.is_relative_to(named)


def _is_for_us(place: Path) -> bool:
    """Whether we may put files in this directory, which need not exist yet.

    After `sudo`, root may not use another user's directory: that user could not change the files.
    """
    while not os.access(place, os.F_OK) and place != place.parent:
        place = place.parent
    if os.geteuid() and os.access(place, os.W_OK):
        return True
    try:
        return place.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _home() -> Path | None:
    """The home directory; None if we may not put files in it."""
    named = os.environ.get("HOME", "")
    if _is_absolute(named) and _is_for_us(Path(named)):
        return Path(named)
    import pwd

    try:
        known = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None
    # Even root's own home may belong to another user, for example when a container mounts one there.
    return known if known.is_absolute() and (not os.geteuid() or _is_for_us(known)) else None
