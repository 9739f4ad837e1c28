"""Backups of files while they are being overwritten. After a crash they contain the old text.

They are kept beside the sessions, or in another directory that only this user can enter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from charrepl.errors import CharreplError
from charrepl.files import fsync
from charrepl.system import paths, user_directories

_NAME = re.compile(r"replaced-[0-9a-f]{12}-(.+)", re.DOTALL)
_MOST_BYTES = 200  # of the file's name that is part of the backup's name


class Backup:
    """A copy of an open file called `name`, locked until `close`.

    Raises OSError if there is no room for one.
    """

    def __init__(self, file: int, name: str) -> None:
        unique = f"replaced-{os.urandom(6).hex()}-{os.fsdecode(os.fsencode(name)[:_MOST_BYTES])}"
        try:
            self._copy(file, paths.private_dir(paths.sessions_dir()) / unique)
        except (OSError, CharreplError):
            self._copy(file, user_directories.private() / unique)

    def _copy(self, file: int, path: Path) -> None:
        copy = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):  # on file systems without locks
                fcntl.flock(copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(file, "rb", closefd=False) as source, open(copy, "wb", closefd=False) as target:
                shutil.copyfileobj(source, target)
            fsync.to_disk(copy)
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(copy)
            raise
        self.path, self._file = path, copy

    def remove(self) -> None:
        """Removes the backup: nobody needs it any more."""
        self.path.unlink()

    def close(self) -> None:
        """Closes the backup, and leaves it where it is."""
        os.close(self._file)


class LeftBackup(NamedTuple):
    """A backup that was left behind, and the name of the file that it is a copy of."""

    path: Path
    name: str


def left_behind() -> list[LeftBackup]:
    """Backups of files that were half written when the process ended, or could not be restored."""
    entries: list[Path] = []
    for folder in (paths.sessions_dir(), *user_directories.private_places()):
        with contextlib.suppress(OSError):
            entries += folder.iterdir()
    named = [(path, _NAME.fullmatch(path.name)) for path in entries]
    return sorted(LeftBackup(path, name[1]) for path, name in named if name and _is_left(path))


def _is_left(path: Path) -> bool:
    """Whether it belongs to this user, and no living process is going to remove it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if os.fstat(file).st_uid != os.geteuid():
            return False
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    finally:
        os.close(file)
    return True
