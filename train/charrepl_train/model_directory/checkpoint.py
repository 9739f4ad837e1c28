"""Checkpoints: trees of arrays on disk; the only file that knows Orbax.

A model's directory:

    NAME/config.toml     every setting
    NAME/vocab.json      the characters, in order of id
    NAME/learnt.json     by which a text is known that it has learnt
    NAME/run.json        what it is trained on and for how long, for `--resume`
    NAME/metrics.jsonl   what was measured, a line an evaluation
    NAME/train.lock      held by the process that trains it
    NAME/checkpoints/best-00001200    the weights that did best on the dev slice
    NAME/checkpoints/measured-00001200  the same before a last pass, where best has had one
    NAME/checkpoints/latest-00001400  everything that training needs to go on

A checkpoint is written beside the one before it and takes its place only when complete: what is being
written or removed has a name that is not looked for.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import msgspec
from orbax.checkpoint import v1 as ocp

from charrepl import resource_shortage
from charrepl.errors import CharreplError
from charrepl.files import fsync, whole_file
from charrepl.settings import model_names
from charrepl.system import disk_errors

Kind = Literal["best", "measured", "latest"]
_SIZES = "sizes.json"
_SYSTEMS_OWN = (".nfs", ".DS_Store")  # files that a system leaves, and makes again
# Only files with names that are made here are ever removed: whole ones, and those being written or removed.
_NAME = re.compile(r"(best|measured|latest)-(\d{8,})(\.new(?:\.orbax-checkpoint-tmp(?:-\d+)?)?|\.old)?")


def _find(directory: Path, kind: Kind) -> list[tuple[int, Path]]:
    """The complete checkpoints of a kind, as (step, path), oldest first."""
    found = _ours(directory / "checkpoints", kind)
    return sorted((int(name[2]), path) for name, path in found if not name[3])


def _ours(folder: Path, kind: Kind) -> list[tuple[re.Match[str], Path]]:
    """Whatever we made in a folder for a kind of checkpoint, complete or not."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return []
    found = [(_NAME.fullmatch(path.name), path) for path in entries]
    return [(name, path) for name, path in found if name is not None and name[1] == kind]


def exists(directory: Path, kind: Kind) -> bool:
    """Whether a checkpoint of that kind was ever completed."""
    return bool(_find(directory, kind))


def measured_kind(directory: Path) -> Kind:
    """Where the best weights are as they were when they were chosen, before a last pass if there was one."""
    of = {kind: [step for step, _ in _find(directory, kind)][-1:] for kind in ("measured", "best")}
    return "measured" if of["measured"] and of["measured"] == of["best"] else "best"


def save(directory: Path, kind: Kind, step: int, tree: Any) -> None:
    """Writes a checkpoint and then removes the one before it.

    Raises CharreplError if it cannot be written; the one before it then stays.
    """
    path = directory / "checkpoints" / f"{kind}-{step:08d}"
    new = path.with_name(f"{path.name}.new")
    try:
        _check_space(path.parent, tree)
        _discard(_unfinished(path, kind))  # of a save that was killed
        with _quiet(), _alone():
            ocp.save(new.absolute(), tree)
        # Read on object stores only, and it names a directory of whoever trained the model.
        (new / "commit_success.txt").unlink(missing_ok=True)
        _seal(new)
        for written in (new, *new.rglob("*")):  # what is removed below may be all that there was
            fsync.path_to_disk(written)
        _set_aside(path)  # where a resumed run saves the same step again
        new.rename(path)
        fsync.path_to_disk(path.parent)
    except Exception as error:  # tensorstore raises ValueError, OSError or its own, by file system
        _discard(_unfinished(path, kind))
        if short := resource_shortage.cause(error):
            raise CharreplError(
                f"could not save {path}: {short}, and run again with --resume", code="shortage"
            ) from error
        raise CharreplError(
            f"could not save {path}: {disk_errors.cause(error)}"
            f"{whole_file.untouched('checkpoint', there=exists(directory, kind))}: "
            f"{disk_errors.advice(error, 'and run again with --resume')}"
        ) from error
    for _, other in _find(directory, kind):
        if other != path:
            _set_aside(other)  # in one step: a reader finds it whole or not at all
    _discard(other for _, other in _ours(path.parent, kind) if other != path)


def _unfinished(path: Path, kind: Kind) -> list[Path]:
    return [other for _, other in _ours(path.parent, kind) if other.name.startswith(f"{path.name}.new")]


def _set_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}.old")
    _discard([aside])
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)


def _discard(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            _bring_out(path)
            shutil.rmtree(path, ignore_errors=True)


def _bring_out(path: Path) -> None:
    """Moves other people's files out of a checkpoint, to a directory beside it, where they stay."""
    try:
        sizes = _sizes(path)
    except msgspec.DecodeError:
        sizes = None
    if sizes is None:
        return  # never completed, or damaged: nobody knows which files are whose
    step = path.name.partition(".")[0]
    for file in list(path.rglob("*")):
        if file.is_dir() and not file.is_symlink():
            continue
        if str(file.relative_to(path)) not in (_SIZES, *sizes) and not file.name.startswith(_SYSTEMS_OWN):
            beside = path.with_name(f"{step}-{file.name}")
            if os.path.lexists(beside):
                beside = path.with_name(f"{step}-{os.urandom(4).hex()}-{file.name}")
            file.rename(beside)


def load(directory: Path, kind: Kind, like: Any) -> tuple[int, Any]:
    """The step and the tree of the newest checkpoint of a kind, shaped as `like`.

    Raises CharreplError if there is none, it is damaged, or its shapes are not those of `like`.
    """
    step, path = newest(directory, kind)
    return step, read(path, like)


def newest(directory: Path, kind: Kind) -> tuple[int, Path]:
    """The step and the path of the newest complete checkpoint. Raises CharreplError if there is none."""
    found = _find(directory, kind)
    if not found:
        raise CharreplError(
            f"{directory} has no {kind} checkpoint: train it first with charrepl-train",
            code="bad_model",
        )
    return found[-1]


def read(path: Path, like: Any) -> Any:
    """The tree of the checkpoint at `path`. Raises CharreplError as `load` does."""
    try:
        _check_whole(path)
        with _quiet(), _alone():
            _check_shapes(ocp.metadata(path.absolute()).metadata, like)
            return ocp.load(path.absolute(), like)
    except _MismatchError as error:
        raise CharreplError(
            f"{path} does not fit its config.toml and vocab.json ({error}): "
            "restore the files it was trained with",
            code="bad_model",
        ) from None
    except Exception as error:  # whatever a damaged file provokes in Orbax and tensorstore
        if short := resource_shortage.cause(error):
            raise CharreplError(f"{path} cannot be read: {short}", code="shortage") from error
        raise CharreplError(
            f"{path} is damaged or not a charrepl checkpoint ({disk_errors.cause(error)}): "
            "copy or train the model again",
            code="bad_model",
        ) from error


def _check_space(directory: Path, tree: Any) -> None:
    # Orbax too finds out that a disk is full, but half of its threads print tracebacks of their own.
    directory.mkdir(parents=True, exist_ok=True)
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) + 64 * 1024
    if shutil.disk_usage(directory).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _seal(path: Path) -> None:
    """Notes the size of every file of a complete checkpoint."""
    sizes = {str(file.relative_to(path)): file.stat().st_size for file in path.rglob("*") if file.is_file()}
    whole_file.write(path / _SIZES, msgspec.json.encode(sizes))


def _sizes(path: Path) -> dict[str, int] | None:
    """The size of every file of a checkpoint, as it was when it was complete; None if it never was."""
    try:
        return msgspec.json.decode(model_names.contents(path / _SIZES), type=dict[str, int])
    except FileNotFoundError:
        return None


def _check_whole(path: Path) -> None:
    # Orbax reports a file cut short from threads of its own too, later, with tracebacks that nothing
    # can catch: so nothing that is not whole may reach it. One that was never sealed is left to it.
    for name, size in (_sizes(path) or {}).items():
        file = path / name
        if not file.is_file():
            raise ValueError(f"{name} is missing")
        if file.stat().st_size != size:
            raise ValueError(f"{name} has {file.stat().st_size} bytes of {size}")


class _MismatchError(Exception):
    pass


def _check_shapes(found: Any, like: Any) -> None:
    # Orbax would pad or cut an array whose shape differs from the one asked for.
    def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        # Tuples and dicts name their entries differently once saved; only the names are compared.
        return {".".join(re.findall(r"\w+", jax.tree_util.keystr(path))): leaf.shape for path, leaf in leaves}

    have, want = shapes(found), shapes(like)
    if not have:
        raise ValueError("it lists no arrays")
    for name in sorted(have.keys() | want.keys()):
        if have.get(name) != want.get(name):
            raise _MismatchError(f"{name} is {have.get(name)}, expected {want.get(name)}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax's advice, which no user of ours can act on, and its tracebacks of what it raises."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception:
        gc.collect()  # asyncio reports what failed beside the first failure once it is collected
        raise
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Makes Orbax believe that this is the only process, because only one of several saves checkpoints.

    MultiprocessingOptions.active_processes says so too, but saving with orbax-checkpoint 0.12.8 still has all
    processes compare their paths, and so waits for ever; this can go when it no longer does.
    """
    count = jax.process_count
    jax.process_count = lambda backend=None: 1
    try:
        yield
    finally:
        jax.process_count = count
