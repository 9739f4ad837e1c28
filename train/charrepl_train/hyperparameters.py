"""Hyper-parameters: every setting of a model and its training. They are validated, and read from TOML."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from charrepl.errors import CharreplError, reason

PRESETS = ("small", "laptop", "gpu", "finetune", "shell", "seed")

Fraction = Annotated[float, Meta(ge=0, le=0.9)]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What serving needs to rebuild a model."""

    layers: Annotated[int, Meta(ge=1, le=16)] = 3
    hidden_size: Annotated[int, Meta(ge=1, le=8192)] = 512
    output_layers: Literal["last", "all"] = "last"  # whose h the output reads; presets name it

    @property
    def output_inputs(self) -> int:
        """How many numbers the output reads."""
        return self.hidden_size * (self.layers if self.output_layers == "all" else 1)


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What training needs besides the text."""

    # Text
    held_out: Fraction = 0.1  # the last part of each file, which is only measured
    dev: Fraction = 0.05  # the first part of the rest of each, which chooses the best checkpoint
    max_characters: Annotated[int, Meta(ge=2, le=65_535)] = 8192  # rarer ones become the unknown character
    # Batches
    batching: Literal["streams", "chunks"] = "streams"  # carry kept across steps, or zeroed at each chunk
    batch_size: Annotated[int, Meta(ge=1, le=65_536)] = 32
    sequence_length: Annotated[int, Meta(ge=1, le=16_384)] = 64  # predictions per sequence
    random_offsets: bool = True  # each epoch of streams starts at another place in the text
    reset_every: Annotated[float, Meta(ge=0, le=1e9)] = 1024.0  # characters until a carry is zeroed; 0: never
    # Replace names by invented ones in parts of the text; auto: if the text has enough names
    rename_names: bool | Literal["auto"] = False
    rename_share: Annotated[float, Meta(ge=0, le=1)] = 0.5  # of the pieces
    # Length
    epochs: Annotated[float, Meta(gt=0, le=1_000_000)] = 20.0
    # Optimiser, with decoupled weight decay
    optimiser: Literal["adam", "muon"] = "adam"  # muon: for matrices between hidden units, else Adam
    muon_iterations: Annotated[int, Meta(ge=1, le=10)] = 3  # towards an orthogonal step
    muon_preconditioning: Literal["frobenius", "aol"] = "frobenius"  # before the first; aol: two do as three
    muon_precision: Literal["f32", "same"] = "f32"  # of its products; same: as precision
    learning_rate: Annotated[float, Meta(gt=0, le=10)] = 2e-3
    adam_rate: Annotated[float, Meta(gt=0, le=100)] = 1.0  # of learning_rate, for what muon leaves to Adam
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.01
    beta2: Annotated[float, Meta(ge=0, lt=1)] = 0.99
    clip_norm: Annotated[float, Meta(ge=0, le=1_000_000)] = 1.0  # of the gradient; 0 does not clip
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    warmup: Fraction = 0.02  # part of all steps, cosine and constant
    cooldown: Fraction = 0.0  # the last part of all steps, in which a constant rate falls
    final_rate: Annotated[float, Meta(ge=0, le=1)] = 0.01  # the rate falls to this part of learning_rate
    decay: Annotated[float, Meta(gt=0, le=1)] = 0.97  # factor of the rate every decay_epochs; for steps only
    decay_epochs: Annotated[float, Meta(gt=0, le=1_000_000)] = 5.0
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.0  # decay of the averaged weights per step; 0: none
    # Regularisation
    dropout: Fraction = 0.0  # between layers
    output_dropout: Fraction = 0.0  # before the output
    weight_drop: Fraction = 0.0  # of the weights from state to state
    forget_bias: Annotated[float, Meta(ge=-10, le=10)] = 1.0  # at the start
    # Choosing
    calibrate: bool = True  # divide the output by the temperature that gives the lowest dev loss
    # At the end
    last_pass: bool = False  # learn, once, what was set aside; all figures are from before that
    # Numbers
    # Of products; sums and the cell state stay f32. tf32 rounds to 10 bits where a GPU can, else it is f32.
    # In a new run, auto becomes what is faster on its device.
    precision: Literal["auto", "f32", "tf32", "bf16"] = "f32"
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    # Watching
    evaluations: Annotated[int, Meta(ge=0, le=10_000)] = 20  # fewer if they would take a tenth of the time
    sample_characters: Annotated[int, Meta(ge=0, le=10_000)] = 200
    sample_epochs: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0  # epochs between evaluations, if not 0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a run: the content of `config.toml` in a model's directory."""

    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()


def parse(text: str, *, source: str, base: Config | None = None) -> Config:
    """The settings in a TOML text. Those that it does not contain are as in `base`, or the defaults.

    Raises CharreplError, with `source`, the setting and the fix, if one is misspelt or out of range.
    """
    try:
        config = msgspec.convert(tables := tomllib.loads(text), Config)
        if base is None:
            return config
        named = {
            table: {name: getattr(getattr(config, table), name) for name in settings}
            for table, settings in tables.items()
        }
        return replace(base, **named)
    except tomllib.TOMLDecodeError as error:
        raise CharreplError(f"{source} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise CharreplError(f"{source}: {_explain(str(error), text)}") from None


def replace(config: Config, **tables: dict[str, Any]) -> Config:
    """`config` with some settings changed, as in `replace(config, training={"epochs": 3.0})`."""
    changed = {
        table: msgspec.structs.replace(getattr(config, table), **settings)
        for table, settings in tables.items()
    }
    return msgspec.structs.replace(config, **changed)


def load(path: Path, *, base: Config | None = None) -> Config:
    """The settings in a file. Raises CharreplError if it cannot be read or contains a wrong setting."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CharreplError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise CharreplError(f"cannot read {path}: {reason(error)}") from None
    return parse(text, source=str(path), base=base)


def preset(name: str) -> Config:
    """A named preset: one of `PRESETS`."""
    file = resources.files("charrepl_train") / "presets" / f"{name}.toml"
    return parse(file.read_text(encoding="utf-8"), source=f"preset {name}")


def dump(config: Config) -> str:
    """`config` as TOML, from which `parse` reads the same settings."""
    # Every value is a number or a word, and JSON and TOML write those in the same way.
    lines = []
    for table in config.__struct_fields__:
        lines.append(f"[{table}]")
        section = getattr(config, table)
        lines += [f"{name} = {json.dumps(getattr(section, name))}" for name in section.__struct_fields__]
        lines.append("")
    return "\n".join(lines)


def _explain(message: str, text: str) -> str:
    """One line from a validation error: the setting, what is wrong, and the nearest right name."""
    unknown = re.search(r"unknown field `(.*?)`(?: - at `\$\.?(.*?)`)?", message)
    if unknown:
        name, table = unknown[1], unknown[2] or ""
        known: Any = {"model": ModelConfig, "training": TrainingConfig}.get(table, Config)
        near = difflib.get_close_matches(name, known.__struct_fields__, n=1)
        owner = next((t for t in (ModelConfig, TrainingConfig) if name in t.__struct_fields__), None)
        if owner and owner is not known:
            hint = f"it belongs under [{'model' if owner is ModelConfig else 'training'}]"
        else:
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known.__struct_fields__)}"
        return f"line {_line(text, name)}: unknown setting {name!r}; {hint}"
    place = re.search(r"^(.*) - at `\$\.?(.*?)`$", message)
    if place:
        name = place[2].rsplit(".", 1)[-1]
        return f"line {_line(text, name)}: {name}: {place[1][0].lower()}{place[1][1:]}"
    return message


def _line(text: str, name: str) -> int:
    pattern = re.compile(rf"^\s*\[?\s*(?:\w+\.)?[\"']?{re.escape(name)}\b")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)
