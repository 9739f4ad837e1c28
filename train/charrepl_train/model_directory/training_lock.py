"""One process trains in a model's directory, and no new run overwrites what is there."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.files import whole_file
from charrepl.settings import model_names
from charrepl.system import disk_errors

TRIAL = "trial"  # where two ways to begin are tried
_LOCK = "train.lock"
# The files of a model before its training has begun.
_SETTINGS = ("vocab.json", "config.toml", "learnt.json", "run.json")
_BEFOREHAND = {
    *("vocab.json", "config.toml", "learnt.json", model_names.SHELL_HISTORY, TRIAL),
    *(name + whole_file.UNFINISHED for name in _SETTINGS),
}


@contextlib.contextmanager
def held(directory: Path, *, resume: bool) -> Iterator[None]:
    """Locks a model's directory, so that no other process trains in it.

    Raises CharreplError if one of them has it, a new run would overwrite something, or there is none to
    resume.
    """
    import filelock  # --help does without

    check(directory, resume=resume)
    ours = not directory.exists()
    lock = filelock.FileLock(directory / _LOCK, mode=0o600, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CharreplError(
            f"another charrepl-train is at work in {directory}: wait for it, or choose another --name"
        ) from None
    except (OSError, NotImplementedError):
        pass  # a place that cannot be written to, which says so soon, or a file system without locks
    try:
        check(directory, resume=resume)  # another may have begun and ended since
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            if [path.name for path in directory.iterdir()] == [_LOCK]:  # nothing came of it
                (directory / _LOCK).unlink()
                if ours:
                    directory.rmdir()


def check(directory: Path, *, resume: bool) -> None:
    """Raises CharreplError if a new run would overwrite something there, or there is none to resume."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CharreplError(
            f"cannot train in {directory}: {disk_errors.cause(error)}: "
            f"{disk_errors.advice(error, 'or choose another place with --out')}"
        ) from None
    else:
        if not stat.S_ISDIR(found.st_mode):
            raise CharreplError(f"{directory} is not a directory: choose another --name or --out")
    if (directory / "run.json").is_file():
        if not resume:
            raise CharreplError(
                f"a model is already in {directory}: "
                "pass --resume to train it further, or --name to keep both"
            )
    elif _occupied(directory):
        raise CharreplError(
            f"{directory} has files in it, but no run.json to resume from: choose another --name or --out"
        )
    elif resume:
        raise CharreplError(f"there is nothing to resume in {directory}: leave --resume out, or check --name")


def _occupied(directory: Path) -> bool:
    """Whether there is more than what a run leaves if it fails before it begins, perhaps on a full disk."""
    if not directory.is_dir():
        return False
    names = {path.name for path in directory.iterdir()} - {_LOCK}
    return not names <= _BEFOREHAND or names == {"config.toml"}  # that file alone is the user's own
