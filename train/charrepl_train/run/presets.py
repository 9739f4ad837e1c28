"""What to train with where nobody has said: chosen by the device and by how much text there is."""

from __future__ import annotations

from typing import NamedTuple

from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.text import split

_SMALL = 200_000  # characters; below, a model repeats its text before it has learnt to write


class _Reading(NamedTuple):
    """How many characters a run reads, however often that reads the text."""

    least: float
    most: float


# A short text has to be read often to be learnt at all, and a long one never to its end.
_READ = {
    "small": _Reading(0.7e6, 3e6),
    "laptop": _Reading(3e6, 20e6),
    "gpu": _Reading(10e6, 2e9),
    "shell": _Reading(0.7e6, 3e6),
    "finetune": _Reading(0.3e6, 10e6),
}


class Choice(NamedTuple):
    """A preset, with what was changed in it for a text."""

    name: str
    config: Config
    why: str  # for a person


def choose(characters: int, *, on_gpu: bool, begun: bool = False, of_shell: bool = False) -> Choice:
    """The preset for a text of that many characters, to be read as often as that length asks for.

    begun: whether training starts from another model's weights; of_shell: whether it is shells' commands.
    """
    if of_shell:
        name, why = "shell", "commands"
    elif begun:
        name, why = "finetune", "weights to start from"
    elif characters < _SMALL:
        name, why = "small", "a short text"
    elif on_gpu:
        name, why = "gpu", "a GPU"
    else:
        name, why = "laptop", "a processor"
    config = hyperparameters.preset(name)
    learnt, _, _ = split.lengths(characters, config.training)
    read = min(max(config.training.epochs * learnt, _READ[name].least), _READ[name].most)
    epochs = float(f"{read / max(learnt, 1):.3g}")
    return Choice(name, hyperparameters.replace(config, training={"epochs": epochs}), why)
