"""A new run: its settings, and what it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError
from charrepl.wire.protocol import replace_surrogates
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.run import device_failures, presets, sizes
from charrepl_train.run.run_options import Base, PreparedRun, RunOptions, base_model, with_config_file

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl_train.text.corpus import Text


def prepare(
    directory: Path, files: tuple[Path, ...], text: Text, options: RunOptions, *, dry_run: bool = False
) -> PreparedRun:
    """A new run in a directory.

    With `dry_run`, nothing is written.
    Raises CharreplError if a setting is wrong, the model to start from cannot be read, or the device fails.
    """
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run import finetune
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text import fingerprint

    base = None if options.base is None else base_model(options.base)
    config, chosen, choice = _settings(options, text, base)
    names = [replace_surrogates(path.name) for path in files]
    run = Run(
        corpus=names,
        encoding=text.encoding,
        clean=list(text.clean),
        corpus_digest=text.digest,
        total_steps=0,
        minutes=options.minutes,
    )
    if base is not None:
        run.started_from, run.started_digest = str(base.directory), base.loaded.digest
    corpus = text.corpus(config.training)
    learnt = fingerprint.compute([corpus.train], corpus.vocabulary)
    remarks = finetune.suggested(text) if base is None and options.preset in (None, "auto") else []
    if base is not None:
        remarks += finetune.new_characters(base.loaded, corpus.vocabulary, base.directory.name)
        before = fingerprint.load(base.directory)
        held_out = fingerprint.compute(corpus.held_out.pieces(), corpus.vocabulary)
        run.held_out_seen, learnt = before.share_of(held_out), before | learnt
    with device_failures.in_one_line(config, directory):
        trainer = Trainer(directory, config, run, corpus, base=base and base.loaded)
    run.total_steps = 0 if options.minutes is not None else trainer.steps_of_epochs()
    if not dry_run:
        trainer.files.write_learnt(learnt)
        trainer.write_settings()
    return PreparedRun(trainer, chosen, remarks, choice)


def _settings(
    options: RunOptions, text: Text, base: Base | None
) -> tuple[Config, str, Mapping[sizes.Size, tuple[int, int]]]:
    """The settings, how they were chosen, and the sizes that there are."""
    from charrepl_train.devices import jax_setup
    from charrepl_train.run import finetune

    chosen = ""
    if options.preset in (None, "auto", "shell"):
        choice = presets.choose(
            text.characters,
            on_gpu=jax_setup.has_gpu(),
            begun=base is not None,
            of_shell=options.preset == "shell",
        )
        preset, chosen = choice.config, f" with preset {choice.name}, for {choice.why}"
    else:
        preset = hyperparameters.preset(options.preset)
    rungs = sizes.by_name(preset.model) if base is None else {}
    if options.size is not None:
        if base is not None:
            raise CharreplError(
                f"a model that starts from {base.directory.name} has its size: leave --size or --from out"
            )
        preset = sizes.sized(preset, options.size)
    config = with_config_file(preset, options)
    if base is not None:
        config = finetune.settings(config, base.loaded, preset=preset)
        chosen += f", from {base.directory.name}"
    if config.training.precision == "auto":
        precision = "bf16" if jax_setup.multiplies_bf16() else "f32"
        config = hyperparameters.replace(config, training={"precision": precision})
    return hyperparameters.replace(config, training=options.training()), chosen, rungs
