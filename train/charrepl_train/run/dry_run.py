"""What a run would be, before it is begun: its text, the split, the settings, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import msgspec

from charrepl.files import text_files
from charrepl.terminal.progress import duration
from charrepl_train.devices import jax_setup
from charrepl_train.run.run_options import PreparedRun
from charrepl_train.text.corpus import Text

_MOST_RARE = 8
_PARAMETER_BYTES = 4


class RareCharacter(msgspec.Struct, frozen=True):
    """One of the rarest characters, and where it is first."""

    character: str
    times: int
    file: str
    line: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A run that nobody has begun; sizes in bytes."""

    files: int
    characters: int
    kinds: int
    clean: list[str]  # the kinds of marks that were left out
    rarest: list[RareCharacter]
    train: int  # characters of each part
    dev: int
    held_out: int
    device_and_preset: str
    layers: int
    hidden_size: int
    parameters: int
    steps: int
    epochs: float
    seconds: float
    characters_per_s: float
    sizes: dict[str, str]  # layers x units of each `--size`
    model_bytes: int  # on the disk
    checkpoint_bytes: int  # beside it, to go on from
    memory_bytes: int

    def lines(self) -> str:
        """For a person."""
        rare = ", ".join(
            f"{rare.character} {'once' if rare.times == 1 else f'{rare.times:,} times'} "
            f"({rare.file}, line {rare.line:,}{' when cleaned' if self.clean else ''})"
            for rare in self.rarest
        )
        sizes = ", ".join(f"--size {size} {shape}" for size, shape in self.sizes.items())
        of = f" of {self.files:,} files" if self.files > 1 else ""
        return "\n".join(
            [
                f"Text      {self.characters:,} characters{of}, of {self.kinds:,} kinds",
                f"Rarest    {rare}",
                f"Split     {self.train:,} to learn, {self.dev:,} to choose by, {self.held_out:,} held out",
                f"Model     {self.layers} x {self.hidden_size}, {self.parameters:,} parameters, "
                f"on {self.device_and_preset}",
                *([f"Sizes     {sizes}"] if sizes else []),
                f"Time      about {duration(self.seconds)}: {self.steps:,} steps, {self.epochs:.3g} epochs, "
                f"{self.characters_per_s:,.0f} characters/s",
                f"Disk      {_megabytes(self.model_bytes)} for the model, "
                f"{_megabytes(self.checkpoint_bytes)} to go on from",
                f"Memory    {_megabytes(self.memory_bytes)}",
                "Nothing was written. Without --dry-run, it is trained.",
            ]
        )


def preview(
    prepared: PreparedRun,
    text: Text,
    files: Sequence[Path],
    device_and_preset: str,
    *,
    interrupted: Callable[[], bool],
) -> Preview:
    """What a new run would be. A few steps are timed, and taken back."""
    trainer = prepared.trainer
    kinds, rarest = text.rarest(_MOST_RARE)
    steps, seconds, speed = trainer.estimate(interrupted=interrupted)
    corpus, model = trainer.corpus, trainer.config.model
    return Preview(
        files=len(files),
        characters=text.characters,
        kinds=kinds,
        clean=list(text.clean),
        rarest=[
            RareCharacter(str(rare), rare.times, str(text_files.Source(files[rare.file])), rare.line)
            for rare in rarest
        ],
        train=len(corpus.train),
        dev=len(corpus.dev),
        held_out=len(corpus.held_out),
        device_and_preset=device_and_preset,
        layers=model.layers,
        hidden_size=model.hidden_size,
        parameters=trainer.parameters,
        steps=steps,
        epochs=round(steps / trainer.batches.steps_per_epoch, 4),
        seconds=round(seconds, 3),
        characters_per_s=round(speed, 1),
        sizes={size: f"{layers} x {units}" for size, (layers, units) in prepared.sizes.items()},
        model_bytes=_PARAMETER_BYTES * trainer.parameters,
        checkpoint_bytes=sum(leaf.nbytes for leaf in jax.tree.leaves(trainer.state)),
        memory_bytes=jax_setup.peak_bytes(),
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"
