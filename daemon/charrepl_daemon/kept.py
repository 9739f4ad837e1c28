"""Programs as the compiler made them, kept from one start to the next.

JAX's own cache is asked with the program itself, and to trace and lower that takes most of what a start
has left to do. Here the question is what the program is made from: the source of this project, the
versions beneath it, the processor, and the shapes.
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
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from jax.tree_util import PyTreeDef

import charrepl
import charrepl_daemon
import charrepl_train
from charrepl import paths
from charrepl.errors import reason
from charrepl_train import device

log = logging.getLogger(__name__)

_OURS = re.compile(r".+-[0-9a-f]{24}\.program(?:\W.*)?")
_MOST = 64  # programs; a model has six


def _nobody(path: Path, why: str) -> None: ...


# Who else than the log is told what could not be read or kept.
note: Callable[[Path, str], None] = _nobody


def program(
    function: Callable[..., Any],
    *arguments: Any,
    name: str,
    returns: Any = 0,
    constants: Sequence[object] = (),
    donate_argnums: Sequence[int] = (),
) -> Callable[..., Any]:
    """The compiled `function` for arguments of such shapes, as it was kept, or else compiled and kept.

    `returns`: anything with the structure of what it returns. `constants`: what it has in it that is in
    neither the source nor the arguments. A file that is damaged, or cannot be written, costs the time to
    compile.
    """
    trees = jax.tree.structure((arguments, {})), jax.tree.structure(returns)
    path = paths.compilation_cache_dir() / f"{name}-{_key(name, constants, arguments)}.program"
    kept = _read(path, *trees)
    if kept is None:
        kept = jax.jit(function, donate_argnums=donate_argnums).lower(*arguments).compile()
        assert (kept.in_tree, kept.out_tree) == trees
        _keep(path, kept)
    return kept


def _key(name: str, constants: Sequence[object], arguments: Sequence[Any]) -> str:
    leaves, tree = jax.tree.flatten(arguments)
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in leaves]
    described = repr((_surroundings(), name, tuple(constants), shapes, str(tree)))
    return hashlib.sha256(described.encode()).hexdigest()[:24]


@functools.cache
def _surroundings() -> str:
    """Whatever a program depends on besides what it is made for."""
    source = hashlib.sha256()
    # All of it, rather than the few files that matter today.
    for room in (charrepl, charrepl_daemon, charrepl_train):
        for file in sorted(Path(str(room.__file__)).parent.glob("*.py")):
            source.update(file.read_bytes())
    settings = {name: value for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_"))}
    versions = jax.__version__, metadata.version("jaxlib"), jax.devices()[0].client.platform_version
    machine = device.describe(), sorted(device.cpu_flags())
    return repr((source.hexdigest(), versions, machine, sorted(settings.items())))


def _read(path: Path, taken: PyTreeDef, returned: PyTreeDef) -> jax.stages.Compiled | None:
    try:
        data = zlib.decompress(path.read_bytes())
        os.utime(path)  # those used last are kept
        kept: jax.stages.Compiled = serialize_executable.deserialize_and_load(
            data, taken, returned, execution_devices=jax.devices()[:1]
        )
    except FileNotFoundError:
        return None
    except Exception as error:  # half a file, another version's: whatever JAX and XLA raise
        _remove([path])
        _tell(path, f"{path.name} is compiled anew: {reason(error)}")
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
    """Removes all, for the next load to compile anew: one of them may be why the device has failed."""
    _remove(_all())


def _all() -> list[Path]:
    """All that were kept, whole or not: what anybody else has there has other names."""
    return [path for path in paths.compilation_cache_dir().glob("*.program*") if _OURS.fullmatch(path.name)]


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _tell(path: Path, what: str) -> None:
    log.warning("%s", what)
    note(path.parent, what)
