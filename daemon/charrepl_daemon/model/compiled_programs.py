"""Compiled programs, kept on disk from one start to the next, and shared by models of one shape.

JAX's own cache needs the program itself as its key. Tracing and lowering that takes most of the time that a
start has left. Here the key is what the program is made from: the source of this project, the versions
beneath it, the processor, and the shapes.

What JAX writes down for it are pickles and machine code: anybody who can write such a file can do whatever
its reader can. So they are read and written only while their directory is the user's own and closed to
everybody else. Those who can write there can change this user's programs anyway.

A program has no state and no weights. So a process has each of them once, for as long as a model uses it: a
model that is reloaded keeps its programs, and no memory is left behind by those of the model before.

A program can be complete and still crash, on a processor that is not quite what it claims to be. So it is
marked while it is loaded and first run, and one whose mark was left by a process that died is never tried
again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import jax
from jax.experimental import serialize_executable
from jax.tree_util import PyTreeDef

import charrepl
import charrepl_daemon
import charrepl_train
from charrepl.errors import CharreplError, reason
from charrepl.system import paths
from charrepl_daemon.process import write_failures
from charrepl_daemon.process.lock import Lock
from charrepl_train.devices import jax_setup

log = logging.getLogger(__name__)

_OURS = re.compile(r".+-[0-9a-f]{24}\.program(?:\W.*)?")
_MOST = 64  # programs; a model has six, and on a GPU fifteen


def program(
    function: Callable[..., Any],
    *arguments: Any,
    name: str,
    returns: Any = 0,
    constants: Sequence[object] = (),
    donate_argnums: Sequence[int] = (),
) -> Callable[..., Any]:
    """The compiled `function` for arguments of such shapes: one in use, or read from disk, or else compiled.

    `returns`: anything with the structure of what it returns. `constants`: what it contains that is in
    neither the source nor the arguments. A file that is damaged, or cannot be written, costs the time to
    compile.
    """
    key = _key(name, constants, arguments)
    shared = _in_use.get(key)
    if shared is not None:
        return shared
    trees = jax.tree.structure((arguments, {})), jax.tree.structure(returns)
    path = _path(name, key)
    kept = None if path is None else _read(path, *trees)
    if kept is None:
        kept = jax.jit(function, donate_argnums=donate_argnums).lower(*arguments).compile()
        assert (kept.in_tree, kept.out_tree) == trees
        if path is not None:
            _keep(path, kept)
    # Of two threads that made it at the same time, each has its own, and the later one's is shared.
    _in_use[key] = made = _Program(kept, path)
    return made


class _Program:
    """A program that is marked while it is first run, if it is kept."""

    def __init__(self, compiled: jax.stages.Compiled, path: Path | None) -> None:
        self._call: Callable[..., Any] = compiled
        self._path = path

    def __call__(self, *arguments: Any) -> Any:
        if self._path is None:
            return self._call(*arguments)
        with _marked(self._path):
            returned = jax.block_until_ready(self._call(*arguments))
        self._path = None
        return returned


_in_use: WeakValueDictionary[str, _Program] = WeakValueDictionary()  # by key


def _path(name: str, key: str) -> Path | None:
    """Where such a program is kept; None where none may be."""
    directory = paths.compilation_cache_dir()
    try:
        paths.check_private(directory)
    except CharreplError as error:
        _tell(directory, f"{name} is not kept: {error}")
        return None
    if not jax_setup.processor():
        return None  # the directory may be another machine's too
    return directory / f"{name}-{key}.program"


def _mark(path: Path) -> Path:
    return path.with_suffix(".tried")


@contextlib.contextmanager
def _marked(path: Path) -> Iterator[None]:
    """Keeps a locked file beside the program, for as long as this process lives or the block lasts."""
    lock = Lock(_mark(path))
    try:
        held = lock.acquire(0.0)
    except OSError:
        held = False  # it cannot be written: then nothing is kept either
    try:
        yield
    finally:  # also after an error: a process that raises one has not died
        if held:
            _remove([_mark(path)])
            lock.release()


def _died(path: Path) -> bool:
    """Whether a process died while it tried the program; takes the mark away."""
    lock = Lock(_mark(path))
    try:
        if not lock.acquire(0.0, create=False):
            return False  # it is being tried just now
        _remove([_mark(path)])
    except OSError:
        return False  # there is none
    finally:
        lock.release()
    return True


def _key(name: str, constants: Sequence[object], arguments: Sequence[Any]) -> str:
    leaves, tree = jax.tree.flatten(arguments)
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in leaves]
    described = repr((_surroundings(), name, tuple(constants), shapes, str(tree)))
    return hashlib.sha256(described.encode()).hexdigest()[:24]


def here() -> str:
    """What stands for all that a program depends on besides what it is made for."""
    return hashlib.sha256(_surroundings().encode()).hexdigest()[:24]


@functools.cache
def _surroundings() -> str:
    """Whatever a program depends on besides what it is made for."""
    # All of it, rather than the few files that matter today.
    source = source_digest(
        Path(str(room.__file__)).parent for room in (charrepl, charrepl_daemon, charrepl_train)
    )
    settings = {name: value for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_"))}
    versions = jax.__version__, metadata.version("jaxlib"), jax.devices()[0].client.platform_version
    machine = jax_setup.describe(), jax_setup.processor()
    return repr((source, versions, machine, sorted(settings.items())))


def source_digest(packages: Iterable[Path]) -> str:
    """What stands for the source of some packages: every module in them, in whatever folder."""
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted(package.rglob("*.py")):
            digest.update(f"{file.relative_to(package)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(path: Path, taken: PyTreeDef, returned: PyTreeDef) -> jax.stages.Compiled | None:
    try:
        if _died(path):
            _remove([path])
            _tell(path, f"{path.name} is compiled again: a process died while it ran it")
            return None
        data = zlib.decompress(path.read_bytes())
        os.utime(path)  # those used last are kept
        with _marked(path):
            kept: jax.stages.Compiled = serialize_executable.deserialize_and_load(
                data, taken, returned, execution_devices=jax.devices()[:1]
            )
    except FileNotFoundError:
        return None
    except Exception as error:  # half a file, another version's: whatever JAX and XLA raise
        _remove([path])
        _tell(path, f"{path.name} is compiled again: {reason(error)}")
        return None
    return kept


def _keep(path: Path, compiled: jax.stages.Compiled) -> None:
    if jax.config.values.get("jax_compilation_cache_dir"):
        return  # what comes from there cannot be written down again: it would lack its functions
    # Models of one shape have the same programs, and may be loaded at the same time.
    new = path.with_name(f"{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        data, *_ = serialize_executable.serialize(compiled)
        new.write_bytes(zlib.compress(data, 1))
        new.replace(path)
    except Exception as error:  # a full disk, or a device whose programs cannot be written down
        _remove([new])
        _tell(path, f"{path.name} is not kept: {reason(error)}")
    with contextlib.suppress(OSError):  # another thread's may go meanwhile: the next one makes room
        _remove(sorted(_all(), key=lambda file: file.stat().st_mtime)[:-_MOST])


def forget() -> None:
    """Removes all, so that the next load compiles them again: one may be why the device has failed."""
    _in_use.clear()
    _remove(_all())


def _all() -> list[Path]:
    """All that were kept, whole or not: what anybody else has there has other names."""
    return [path for path in paths.compilation_cache_dir().glob("*.program*") if _OURS.fullmatch(path.name)]


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _tell(path: Path, what: str) -> None:
    log.warning("%s", what, extra=write_failures.at(paths.compilation_cache_dir()))
