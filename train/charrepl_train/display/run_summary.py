"""What a run says of itself as it begins and as it ends."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError
from charrepl.settings import model_names

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl_train.run.loop import Trainer


def introduction(trainer: Trainer, where: str, *, resume: bool) -> str:
    """What is trained, on which device and text. `where`: the device, and how settings were chosen."""
    model = trainer.config.model
    epochs = trainer.run.total_steps / trainer.batches.steps_per_epoch
    anew = (
        " Nothing had been saved yet: this starts from the beginning."
        if resume and not trainer.has_saved
        else ""
    )
    return (
        f"Training {trainer.directory.name} on {where}: {model.layers} x {model.hidden_size}"
        + (" by cuDNN" if trainer.by_cudnn else "")
        + f", {trainer.parameters:,} parameters, {len(trainer.corpus.train):,} characters "
        f"of {len(trainer.vocabulary) - 1:,} kinds"
        + (f", {epochs:.3g} epochs" if epochs else "")
        + "."
        + (f" {trainer.batches.names:,} names are replaced in parts of it." if trainer.batches.names else "")
        + f"{anew} Ctrl-C saves."
    )


def seen(trainer: Trainer) -> str:
    """That the model it started from has learnt some of what is held out."""
    base, share = Path(trainer.run.started_from).name, trainer.run.held_out_seen
    return f"{base} has learnt {share:.0%} of what is held out here: the loss on it is no held-out loss."


def summary(trainer: Trainer, results: dict[str, float], before: Path) -> Iterator[str]:
    """What was measured, and how to use the model. `before`: the model that charrepl opened before."""
    if "held_out_loss" in results:
        from charrepl.terminal.progress import duration

        nats, took = results["held_out_loss"], duration(trainer.run.elapsed_s)
        bits = nats / math.log(2)
        yield f"Held-out loss {nats:.4f} nats per character ({bits:.3f} bits), after {took}."
    if "learnt_loss" in results:
        yield f"Loss {results['learnt_loss']:.4f} nats per character. {seen(trainer)}"
    if "last_pass_characters" in results:
        yield (
            f"Then it learnt the {results['last_pass_characters']:,} characters that were set aside: "
            "all figures are from before that."
        )
    directory = trainer.directory
    if model_names.is_of_shell(directory):
        named = "" if directory.name == model_names.SHELL else f" --model {_called(directory)}"
        yield f'Use it in a new shell whose start-up file has: eval "$(charrepl shell zsh{named})"'
    elif _configured() or model_names.default() != directory:
        yield f"Type with it: {typing(directory)}"
    else:
        if before != directory:
            yield (
                f"charrepl opens {directory.name} from now on. "
                f"The one before, {before.name}, opens with: {typing(before)}"
            )
        yield "Type with it: charrepl"


def typing(directory: Path) -> str:
    """The command that types with a model."""
    return f"charrepl --model {_called(directory)}"


def _called(directory: Path) -> str:
    named = directory in model_names.installed()
    return shlex.quote(directory.name if named else str(directory))


def _configured() -> str:
    """The model in the settings, which a new model does not replace; empty if there is none."""
    with contextlib.suppress(CharreplError):  # charrepl itself reports wrong settings
        return model_names.chosen()
    return ""
