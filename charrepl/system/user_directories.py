"""A user's own directories, as the XDG specification has them, and one that is private wherever they are.

Every process of a user finds the same ones, whatever shell, session, container or `sudo` it was started from.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

_BELOW_HOME = {"data": ".local/share", "config": ".config"}
# Everybody may make directories there, and TMPDIR, which differs from one shell to the next, has no say.
_PUBLIC = ("/tmp", "/var/tmp", "/dev/shm")
_SESSIONS = Path("/run/user")  # of those who have logged in, a directory each


def expanded(path: str | Path) -> Path:
    """`path` with `~` or `~user` at its beginning replaced, if there is such a directory."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def base(kind: str) -> Path:
    """Where programs have their `data` or `config`; in the private place if there is no home."""
    xdg, home = os.environ.get(f"XDG_{kind.upper()}_HOME", ""), _home()
    if _is_absolute(xdg) and not _is_left_behind(Path(xdg), home):
        return Path(xdg)
    if home is None:
        return private() / kind
    return home / ("Library/Application Support" if sys.platform == "darwin" else _BELOW_HOME[kind])


def runtime(longest: int) -> Path | None:
    """Where programs have their sockets while a user is logged in; None if there is no such place.

    longest: of its name, in bytes: sockets cannot have any path.
    """
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(named)] if _is_absolute(named) else []
    for place in (*places, _SESSIONS / str(os.geteuid())):
        if len(os.fsencode(place)) <= longest and _is_ours_alone(place):
            return place
    return None


def private() -> Path:
    """A directory that only this user can enter; it is there, or it is made now.

    If it can be neither, the first that was tried: who uses it is told what is wrong.
    """
    places = private_places()
    return next(filter(_is_private, places), places[0])


def private_places() -> list[Path]:
    """Those of which `private` is the first that can be, whether they are there or not."""
    return [Path(public) / f"charrepl-{os.geteuid()}" for public in _PUBLIC]


def _is_private(place: Path) -> bool:
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _is_ours_alone(place: Path) -> bool:
    """Whether nobody else can put anything there."""
    try:
        found = place.stat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return ours and os.access(place, os.W_OK | os.X_OK)


def _is_absolute(name: str) -> bool:
    return Path(name).is_absolute()  # the specification has others ignored


def _is_left_behind(place: Path, home: Path | None) -> bool:
    """Whether a directory is in the home that root came from, as by `sudo`, and which is not root's."""
    named = os.environ.get("HOME", "")
    return not os.geteuid() and bool(named) and home != Path(named) and place.is_relative_to(named)


def _is_for_us(place: Path) -> bool:
    """Whether we may leave files there, once it is made.

    Root may not in another user's, as after `sudo`: the other user would be locked out.
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
    """The home directory; None if there is none that we may leave files in."""
    named = os.environ.get("HOME", "")
    if _is_absolute(named) and _is_for_us(Path(named)):
        return Path(named)
    import pwd

    try:
        known = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None
    # Root's own may be another's directory, as where a container has a user's in its place.
    return known if known.is_absolute() and (not os.geteuid() or _is_for_us(known)) else None
