"""A model as serving, sharing and building on it need it: settings, characters and its best weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from charrepl.errors import CharreplError
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.model import parameters as params_module
from charrepl_train.model.parameters import Params
from charrepl_train.model_directory import checkpoint
from charrepl_train.text.vocabulary import Vocabulary


class LoadedModel(NamedTuple):
    """A model read for serving: its settings, characters and weights."""

    config: Config
    vocabulary: Vocabulary
    params: Params  # f32 numpy arrays
    step: int
    digest: str  # names exactly these weights, characters and settings


def load(directory: Path) -> LoadedModel:
    """The model in a directory, by its best checkpoint, also while training replaces that.

    Raises CharreplError if a part of it is missing, damaged, or does not fit the others.
    """
    if not directory.is_dir():
        raise CharreplError(
            f"there is no model at {directory}: charrepl models lists those there are", code="no_model"
        )
    config = hyperparameters.load(directory / "config.toml")
    vocabulary = Vocabulary.load(directory / "vocab.json")
    # Asked for as f32, whatever they were saved as: a model may be kept in bf16.
    like = params_module.empty(config.model, len(vocabulary))
    for _ in range(2):
        step, path = checkpoint.newest(directory, "best")
        identity = _identity(path)
        try:
            params, name = checkpoint.read(path, like), digest(directory, path)
        except (CharreplError, OSError):
            if _identity(path) == identity:
                raise
        else:
            if _identity(path) == identity:
                return LoadedModel(config, vocabulary, params, step, name)
    raise CharreplError(f"{path} is being replaced: try again in a second", code="bad_model")


def _identity(path: Path) -> tuple[int, int] | None:
    """What differs once another directory, or none, has that name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def digest(directory: Path, path: Path) -> str:
    """A name for exactly the weights in the checkpoint `path`, and the characters and settings beside it.

    Any change of a file changes it.
    """
    files = [directory / "vocab.json", directory / "config.toml", *sorted(path.rglob("*"))]
    total = hashlib.sha256()
    for file in files:
        if file.is_file():
            total.update(f"{file.relative_to(directory)}\0{file.stat().st_size}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:16]
