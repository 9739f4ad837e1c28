"""Files that are written whole, or stay as they were: a disk may be full, a process killed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.files import fsync
from charrepl.system import disk_errors

UNFINISHED = ".charrepl-new"  # at the end of the name of a file that is being written


def write(path: Path, data: bytes) -> None:
    """Writes a whole file, to the disk, or leaves the one before it.

    Raises CharreplError if it cannot be written.
    """
    new = path.with_name(f"{path.name}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            fsync.to_disk(file.fileno())
        new.replace(path)
        fsync.path_to_disk(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise CharreplError(
            f"could not write {path}: {disk_errors.cause(error)}{untouched('one', there=path.exists())}: "
            f"{disk_errors.advice(error, 'or choose another place')}"
        ) from error


def untouched(what: str, *, there: bool) -> str:
    """What to add to an error if there is one from before."""
    return f"; the {what} before it is untouched" if there else ""
