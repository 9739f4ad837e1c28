"""What is asked of a run, and what is prepared for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from charrepl.settings import model_names
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.run import sizes

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl_train.model_directory.loaded_model import LoadedModel
    from charrepl_train.run.loop import Trainer


class RunOptions(NamedTuple):
    """What the command line asks for; None where it does not say."""

    preset: str | None
    config_file: Path | None
    base: str | None  # the name or the directory of a model to start from
    epochs: float | None
    minutes: float | None
    seed: int | None
    size: sizes.Size | None = None

    def training(self) -> dict[str, float]:
        """The settings among them."""
        given = {"epochs": self.epochs, "seed": self.seed}
        return {name: value for name, value in given.items() if value is not None}


def with_config_file(config: Config, options: RunOptions) -> Config:
    """`config`, but for what is in the file of settings, if there is one."""
    return config if options.config_file is None else hyperparameters.load(options.config_file, base=config)


class PreparedRun(NamedTuple):
    """A run that is ready to train, and what a person should know of it."""

    trainer: Trainer
    chosen: str = ""  # how its settings were chosen, where nobody said
    remarks: Sequence[str] = ()
    sizes: Mapping[sizes.Size, tuple[int, int]] = MappingProxyType({})  # to choose from


class Base(NamedTuple):
    """A model to start from."""

    directory: Path
    loaded: LoadedModel


def base_model(name: str) -> Base:
    """The model of a name or directory, to start from. Raises CharreplError if it cannot be read."""
    from charrepl_train.model_directory import loaded_model

    directory = model_names.find(name)
    return Base(directory, loaded_model.load(directory))
