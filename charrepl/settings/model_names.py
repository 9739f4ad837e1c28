"""Finding models: by name among the user's own and the bundled one, or by directory."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tomllib
import unicodedata
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError, reason
from charrepl.system import paths, user_directories
from charrepl.text import graphemes

if TYPE_CHECKING:  # the REPL finds its model before its first paint, and imports messages later
    from charrepl.wire.protocol import ModelInfo

BUNDLED = "shakespeare"
SHELL = "shell"  # what shells use if it is there
SHELL_HISTORY = "shell-history"  # in the directory of a model: the commands it has learnt from
UNLOADABLE = ("bad_model", "no_model", "shortage")  # error codes for which another model may work
_MOST_NAME = 100  # characters
_MOST_BYTES = 240  # a file's name may have 255, and this leaves room for an ending
_JOINERS = "\u200c\u200d"  # words of Persian and Indian languages need them


def _fits(name: str, at: int) -> bool:
    """Whether a name may contain a character: letters, digits, some symbols, and the marks of letters."""
    char = name[at]
    if char in _JOINERS:
        return at > 0 and (name[at - 1].isalpha() or unicodedata.category(name[at - 1])[0] == "M")
    return char.isalnum() or char in "_.-" or unicodedata.category(char)[0] == "M"


def _begins(name: str) -> bool:
    return name[:1].isalnum() or name.startswith("_")


def _is_short(name: str) -> bool:
    return len(name) <= _MOST_NAME and len(name.encode("utf-8", "surrogatepass")) <= _MOST_BYTES


def _is_name(name: str) -> bool:
    return _begins(name) and _is_short(name) and all(_fits(name, at) for at in range(len(name)))


def named_after(stem: str) -> str:
    """A model's name made from a file's name, whatever characters that has."""
    stem = unicodedata.normalize("NFC", stem)
    name = re.sub(r" +", "-", "".join(c if _fits(stem, at) else " " for at, c in enumerate(stem)))
    while name and not _begins(name):
        name = name[1:]
    while not _is_short(name):
        name = name[: graphemes.last_start(name)]
    return name.rstrip("-.") or "model"


def check_name(name: str) -> str:
    """`name` in composed form (NFC), if a model can have that name. Raises CharreplError if not."""
    name = unicodedata.normalize("NFC", name)
    if not _is_short(name):
        raise CharreplError(
            f"{name[:20]!r}... is too long for a model's name: {_MOST_NAME} characters at most, "
            f"and {_MOST_BYTES} bytes",
            code="bad_name",
        )
    if not _is_name(name):
        raise CharreplError(
            f"{name!r} cannot be a model's name: use letters, digits, '.', '_' and '-', a letter first",
            code="bad_name",
        )
    return name


def bundled_dir() -> Path:
    """The model that comes with charrepl."""
    return Path(__file__).parents[1] / "bundled" / BUNDLED


def is_path(model: str) -> bool:
    """Whether `model` is a directory rather than a name."""
    return "/" in model or model in (".", "..") or model.startswith("~")


def absolute(model: str) -> str:
    """`model` as the daemon understands it, which has another working directory.

    Raises CharreplError if it is a directory that cannot contain a model.
    """
    return str(_directory(model)) if is_path(model) else model


def _directory(model: str) -> Path:
    place = user_directories.expanded(model)
    try:
        # A model is listed by its directory's name, and `..` is not a name.
        place = place.resolve() if ".." in place.parts else place.absolute()
    except OSError as error:
        raise CharreplError(
            f"there is no model directory {model}: {reason(error)}", code="no_model"
        ) from None
    return paths.utf8(place, fix="rename it: libraries that read models need such a name")


def chosen(model: str = "") -> str:
    """`model` if it is not empty, else the model in the settings; empty for the default.

    Raises CharreplError if the configuration is wrong.
    """
    from charrepl.settings import settings  # the daemon never needs them: clients tell it the model

    return absolute(model or settings.effective().settings.model)


def is_usable(directory: Path) -> bool:
    """Whether there is a checkpoint to load: training creates the directory long before."""
    try:
        return (directory / "config.toml").is_file() and any((directory / "checkpoints").glob("best-*[0-9]"))
    except OSError:
        return False


def contents(path: Path) -> bytes:
    """The text of a model's file. Raises OSError if it cannot be read.

    It never reads a pipe: that would wait for the writer, and everyone would wait with the daemon's one
    reader.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, f"{path.name} is not a file")
    return path.read_bytes()


def find(model: str = "") -> Path:
    """The directory of a model, by its name or directory, or of the default model if that is empty.

    Raises CharreplError if there is no such model.
    """
    if not model:
        return default()
    if is_path(model):
        directory = _directory(model)
        if not os.path.isdir(directory):  # noqa: PTH112  (false also for a name that is too long)
            raise CharreplError(f"there is no model directory {directory}", code="no_model")
        return directory
    model = check_name(model)
    own = paths.models_dir() / model
    if is_usable(own):
        return own
    # A directory may come from a system that decomposes letters.
    for path in installed():
        if unicodedata.normalize("NFC", path.name) == model and path != bundled_dir():
            return path
    if model == BUNDLED:
        return bundled_dir()
    if os.access(own, os.F_OK):
        raise CharreplError(
            f"{model} has no checkpoint yet: let its training reach the first evaluation, or train it again",
            code="no_model",
        )
    names = ", ".join(path.name for path in installed())
    raise CharreplError(
        f"there is no model named {model!r}: choose one of {names}, or give its directory with a '/'",
        code="no_model",
    )


def is_of_shell(directory: Path) -> bool:
    """Whether a model has learnt commands: it is for shells, and never the default elsewhere."""
    return (directory / SHELL_HISTORY).is_dir()


def trained_at(directory: Path) -> float | None:
    """When the model's last complete training ended, in seconds since 1970; None if never, or it is gone."""
    import json

    if not is_usable(directory):
        return None
    path = directory / "run.json"
    try:
        run = json.loads(contents(path))
        if run.get("completed_at"):
            return float(run["completed_at"])
        return path.stat().st_mtime if run["finished"] else None
    except OSError:
        return 0.0  # made elsewhere, and copied
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def default(
    *,
    passed_over: Container[Path] = (),
    last_trained: Callable[[Path], float | None] = trained_at,
) -> Path:
    """The model that last completed its training, but for shells' and `passed_over`; else the bundled one."""
    own = [path for path in installed(usable=lambda path: path not in passed_over) if path != bundled_dir()]
    trained = {path: at for path in own if not is_of_shell(path) and (at := last_trained(path)) is not None}
    return max(trained, key=trained.__getitem__, default=bundled_dir())


def changed_at(directory: Path) -> float:
    """When a model's files last changed, in seconds since 1970."""
    times = [0.0]
    for name in ("", "config.toml", "vocab.json", "checkpoints"):
        with contextlib.suppress(OSError):
            times.append((directory / name).stat().st_mtime)
    return max(times)


def installed(*, usable: Callable[[Path], bool] = is_usable) -> list[Path]:
    """Every model that has a name, by name. A user's own hides a bundled one with the same name."""
    try:
        own = [path for path in paths.models_dir().iterdir() if _is_name(path.name) and usable(path)]
    except OSError:
        own = []
    found = {path.name: path for path in own}
    found.setdefault(BUNDLED, bundled_dir())
    return [found[name] for name in sorted(found)]


def info(directory: Path, *, loaded: bool = False) -> ModelInfo:
    """A model's properties, for a list. Raises CharreplError if its files cannot be read."""
    import json

    import msgspec

    from charrepl.wire.protocol import ModelInfo

    try:
        settings = tomllib.loads(contents(directory / "config.toml").decode()).get("model", {})
        vocabulary = json.loads(contents(directory / "vocab.json"))
        found = {
            "name": directory.name,
            "path": str(directory),
            "layers": settings.get("layers", 3),  # the defaults of charrepl_train.hyperparameters.ModelConfig
            "hidden_size": settings.get("hidden_size", 512),
            "characters": len(vocabulary["characters"]),
            "held_out_loss": _held_out(directory / "metrics.jsonl"),
            "loaded": loaded,
        }
        return msgspec.convert(found, ModelInfo)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise CharreplError(
            f"{directory} is not a charrepl model ({reason(error)}): train it again", code="bad_model"
        ) from None


def _held_out(path: Path) -> float | None:
    """The last held-out loss in a model's metrics; None if it was never measured."""
    import json

    try:
        found = [json.loads(line).get("held_out_loss") for line in contents(path).splitlines()]
    except (OSError, ValueError, AttributeError):
        return None
    measured = [loss for loss in found if isinstance(loss, float)]
    return measured[-1] if measured else None
