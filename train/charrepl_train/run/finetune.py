"""Starting from what another model has learnt, instead of from random weights."""

from __future__ import annotations

import msgspec
import numpy as np

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl_train.hyperparameters import Config, ModelConfig
from charrepl_train.model.parameters import Params
from charrepl_train.model_directory.loaded_model import LoadedModel
from charrepl_train.text import rare_characters
from charrepl_train.text.corpus import Text
from charrepl_train.text.english import is_english
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary

_SHORT = 1_000_000  # characters
_MOST_SHOWN = 24


def weights(base: LoadedModel, vocabulary: Vocabulary) -> Params:
    """f32: the weights of `base`, by the characters of another vocabulary.

    A character that it has never seen starts as the one that it reads it as, a curly quote perhaps as a
    straight one, else as its unknown one: as unlikely as that, until it is learnt.
    """
    ids = np.concatenate([[UNKNOWN], base.vocabulary.ids(vocabulary.characters)])
    layers, output = dict(base.params["layers"]), base.params["output"]
    layers["0"] = {**layers["0"], "w_ih": layers["0"]["w_ih"][ids]}
    return {"layers": layers, "output": {"w": output["w"][:, ids], "b": output["b"][ids]}}


def suggested(text: Text) -> list[str]:
    """That a text would better start from the model that comes with charrepl, in one line; none if not."""
    if text.characters >= _SHORT or not is_english(text.start()):
        return []
    return [
        f"The text is short and in English: --from {model_names.BUNDLED} starts from the model that comes "
        "with charrepl, and usually learns such a text better. --preset auto tries both for a minute each."
    ]


def new_characters(base: LoadedModel, vocabulary: Vocabulary, name: str) -> list[str]:
    """That a vocabulary has characters which `base`, so named, has never seen, in one line; none if not."""
    ids = base.vocabulary.ids(vocabulary.characters)
    new = [char for char, id_ in zip(vocabulary.characters, ids.tolist(), strict=True) if id_ == UNKNOWN]
    if not new:
        return []
    shown = " ".join(map(rare_characters.shown, new[:_MOST_SHOWN]))
    more = f" and {len(new) - _MOST_SHOWN:,} more" if len(new) > _MOST_SHOWN else ""
    are = "character is" if len(new) == 1 else "characters are"
    return [f"{len(new):,} {are} new to {name}, and learnt from the start: {shown}{more}."]


def settings(config: Config, base: LoadedModel, *, preset: Config) -> Config:
    """`config` with the layers of `base`, which are what there is to start from.

    Raises CharreplError if somebody asked for others: if they are not those of the preset either.
    """
    model, asked = base.config.model, config.model
    if _shape(asked) not in (_shape(model), _shape(preset.model)):
        raise CharreplError(
            f"the model to start from has {model.layers} layers of {model.hidden_size}, and the settings ask "
            f"for {asked.layers} of {asked.hidden_size}: leave [model] out of them"
        )
    if asked.output_layers not in (model.output_layers, preset.model.output_layers):
        raise CharreplError(
            f"the model to start from has output_layers = {model.output_layers}, and the settings ask for "
            f"{asked.output_layers}: leave [model] out of them"
        )
    return msgspec.structs.replace(config, model=model)


def _shape(model: ModelConfig) -> tuple[int, int]:
    return model.layers, model.hidden_size
