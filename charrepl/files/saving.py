"""Writes over a file like a good editor: the old or the new text is always there; nothing else changes.

Owner, group, mode, access control lists, extended attributes, other names and links to the file stay the
same. The new text is written to a new file that replaces the old one. If that would change any of these, or
is not allowed, the text is written into the file itself, and a copy of the old text is kept until that is
done.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl.files import fsync
from charrepl.files.backups import Backup

# The prefix of temporary files. Nobody else uses it.
_PREFIX = ".charrepl-"
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def look(path: Path) -> os.stat_result | None:
    """The status of the file at `path`; None if there is no file.

    Raises CharreplError if it is not a file, or if no file can be created there, and OSError if that cannot
    be found out.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise CharreplError(f"there is no directory {path.parent}: make it first") from None
        return None
    what = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "")
    if what:
        raise CharreplError(f"{path} is {what}, not a file: /save another")
    return found


def is_protected(found: os.stat_result) -> bool:
    """Whether a file's mode forbids writing, even if its owner or root could write to it."""
    return not found.st_mode & (0o200 if found.st_uid == os.geteuid() else 0o222)


def create(path: Path, data: bytes) -> None:
    """Writes a new file. Raises FileExistsError if it exists by now, and OSError if it cannot be written."""
    path = Path(os.path.realpath(path))  # the file that a dangling link names
    new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with _removed_on_failure(path, new) as file:
        _write(file, data)


def overwrite(path: Path, found: os.stat_result, data: bytes, *, force: bool) -> None:
    """Writes over a file whose status was `found`. With `force`, also over a protected file.

    Raises OSError if it cannot be written; it then stays as it was. If the old text cannot be restored
    either, raises CharreplError, which says where a copy is.
    """
    path = Path(os.path.realpath(path))
    if not _replace(path, found, data):
        _write_into(path, found, data, force=force)


def _replace(path: Path, before: os.stat_result, data: bytes) -> bool:
    """Replaces the file at `path` by a new one. False, and nothing done, if its attributes would change."""
    if before.st_nlink > 1 or sys.platform != "linux":  # elsewhere Python cannot read lists and attributes
        return False
    try:
        file, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
    except OSError:
        return False  # perhaps the file is writable, even if its directory is not
    with _removed_on_failure(Path(name), file):
        _write(file, data)
        if _made_alike(file, path, before):
            with contextlib.suppress(OSError):  # for example, the file is a mount point
                Path(name).replace(path)
                return True
        Path(name).unlink()
        return False


def _made_alike(file: int, path: Path, before: os.stat_result) -> bool:
    """Gives an open file the owner, mode and attributes of the one at `path`. False if that is impossible."""
    try:
        own = os.fstat(file)
        if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(file, before.st_uid, before.st_gid)
        os.fchmod(file, stat.S_IMODE(before.st_mode))
        wanted, have = _attributes(path), _attributes(file)
        for name in have.keys() - wanted.keys():  # a directory's default list adds them to new files
            os.removexattr(file, name)
        for name, value in wanted.items():
            if have.get(name) != value:
                os.setxattr(file, name, value)
        now = os.fstat(file)
        kept = [(s.st_uid, s.st_gid, s.st_mode) for s in (before, now)]
        return kept[0] == kept[1] and _attributes(file) == wanted
    except OSError:
        return False


def _attributes(file: Path | int) -> dict[str, bytes]:
    """Extended attributes, including access control lists."""
    try:
        return {name: os.getxattr(file, name) for name in os.listxattr(file)}
    except OSError as error:
        if error.errno in fsync.NO_SUCH_CALL:
            return {}
        raise


def _write_into(path: Path, before: os.stat_result, data: bytes, *, force: bool) -> None:
    with _opened(path, before, force=force) as file, contextlib.closing(Backup(file, path.name)) as backup:
        try:
            _write_over(file, data)
        except BaseException:
            try:
                _write_over(file, backup.path.read_bytes())
            except OSError as error:
                raise CharreplError(
                    f"{path} was half written when {reason(error)}: its old content is in {backup.path}"
                ) from error
            backup.remove()
            raise
        backup.remove()


@contextlib.contextmanager
def _opened(path: Path, before: os.stat_result, *, force: bool) -> Iterator[int]:
    """Opens the file to read and write. For its owner, this also works if its mode forbids it."""
    lifted = False
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        if not force or before.st_uid != os.geteuid():
            raise
        path.chmod(stat.S_IMODE(before.st_mode) | 0o600)
        lifted = True
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield file
    finally:
        if lifted:
            os.fchmod(file, stat.S_IMODE(before.st_mode))
        os.close(file)


def _write_over(file: int, data: bytes) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    _write(file, data)
    os.ftruncate(file, len(data))
    fsync.to_disk(file)


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    fsync.to_disk(file)


@contextlib.contextmanager
def _removed_on_failure(path: Path, file: int) -> Iterator[int]:
    """Closes an open file that we made at `path`, and removes it if the block fails."""
    try:
        try:
            yield file
        finally:
            os.close(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
