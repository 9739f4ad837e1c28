"""A run that goes on: what it was, and what may change."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.run import device_failures
from charrepl_train.run.run_options import Base, PreparedRun, RunOptions, base_model, with_config_file

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text.corpus import Corpus, Text

T = TypeVar("T")

_WATCHED = ("evaluations", "sample_characters", "sample_epochs")  # what a run may change as it goes on


def prepare(directory: Path, text: Text, options: RunOptions) -> PreparedRun:
    """The run in a directory, from where it was saved, or from its start if it never was.

    How it is watched may change, and how long it is. Raises CharreplError if it is damaged, or the text, the
    other settings or the start are not what it began with.
    """
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run.loop import Trainer

    kept = hyperparameters.load(directory / "config.toml")
    run = _kept_run(directory, Run)
    _check_start(directory, run, text)
    named = with_config_file(kept, options).training
    watched = {name: getattr(named, name) for name in _WATCHED}
    watched = {name: value for name, value in watched.items() if value != getattr(kept.training, name)}
    if options.seed is None:
        options = options._replace(seed=named.seed)
    if options.epochs is options.minutes is None and named.epochs != kept.training.epochs:
        options = options._replace(epochs=named.epochs)
    changed = _changed(kept, run, options)
    if changed:
        raise CharreplError(
            f"{directory.name} was trained with another {changed}: resume without --preset, --config, "
            "--from and --seed, or choose another --name"
        )
    corpus = _corpus(directory, kept, run, text)
    config = hyperparameters.replace(kept, training=options.training() | watched)
    base = _base_again(run, directory)
    with device_failures.in_one_line(config, directory):
        trainer = Trainer(directory, config, run, corpus, base=base and base.loaded)
        step = trainer.resume()
    if _lengthened(trainer, step, options) or watched:
        if run.finished and not run.completed_at:  # by an earlier version
            run.completed_at = (directory / "run.json").stat().st_mtime
        run.finished = run.finished and run.total_steps == step
        trainer.write_settings()
    remarks = [
        f"{name} is {now} from here on; it was {getattr(kept.training, name)}."
        for name, now in watched.items()
    ]
    return PreparedRun(trainer, remarks=remarks)


def _check_start(directory: Path, run: Run, text: Text) -> None:
    """Raises CharreplError if there is nothing to go on from, or the text is not what the run began with."""
    from charrepl_train.model_directory import checkpoint

    if run.finished and not checkpoint.exists(directory, "latest"):
        raise CharreplError(
            f"{directory} has no checkpoint to continue from, and starting again would replace what it has "
            f"learnt: start another with --from {directory.name} --name ANOTHER"
        )
    if run.corpus_digest != text.digest:
        raise CharreplError(
            f"{directory.name} was trained on another text ({', '.join(run.corpus)}): "
            "resume with the same files, unchanged and in the same order, or learn this one from it: "
            f"--from {directory.name} --name ANOTHER"
        )


def _corpus(directory: Path, kept: Config, run: Run, text: Text) -> Corpus:
    """The text as the run has it. Raises CharreplError if the vocabulary in the directory is not its own."""
    from charrepl_train.text import split
    from charrepl_train.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(directory / "vocab.json")
    rule = split.kept(run.split)
    corpus = text.corpus(kept.training, normal_form=vocabulary.normal_form, rule=rule)
    if vocabulary != corpus.vocabulary:
        raise CharreplError(
            f"{directory}/vocab.json is not the vocabulary of this text: restore it, or choose another --name"
        )
    return corpus


def _lengthened(trainer: Trainer, step: int, options: RunOptions) -> bool:
    """Gives a run that is at a step its new length, if it is to have another. Returns whether it is.

    The command that was interrupted goes on with the same steps. Another length plans them again, and so do
    minutes for a run that is finished: they count from here.
    """
    run = trainer.run
    if options.epochs is not None:
        run.minutes, run.total_steps = None, trainer.steps_of_epochs()
        if run.total_steps < step:
            name, trained = trainer.directory.name, step / trainer.batches.steps_per_epoch
            raise CharreplError(
                f"{name} has been trained for {trained:.3g} epochs already: resume with more than "
                f"{options.epochs:g}, or choose another --name"
            )
        return True
    if options.minutes is not None and (options.minutes != run.minutes or run.finished):
        run.minutes, run.total_steps = options.minutes, 0
        return True
    return False


def _base_again(run: Run, directory: Path) -> Base | None:
    """What a run started from, if it saved nothing yet and so starts once more."""
    from charrepl_train.model_directory import checkpoint

    if not run.started_from or checkpoint.exists(directory, "latest"):
        return None
    base = base_model(run.started_from)
    if base.loaded.digest != run.started_digest:
        raise CharreplError(
            f"{directory.name} started from {run.started_from}, which has changed since, and saved nothing: "
            "train anew under another --name"
        )
    return base


def _changed(kept: Config, run: Run, options: RunOptions) -> str:
    """The first wish that differs from what the run began with; empty if none does."""
    if options.base is not None and str(model_names.find(options.base)) != run.started_from:
        return f"start ({run.started_from or 'from nothing'}, not {options.base})"
    if options.seed not in (None, kept.training.seed):
        return f"seed ({kept.training.seed}, not {options.seed})"
    wanted = with_config_file(
        kept if options.preset in (None, "auto") else hyperparameters.preset(options.preset), options
    )
    for table in kept.__struct_fields__:
        a, b = getattr(kept, table), getattr(wanted, table)
        for name in a.__struct_fields__:
            was, now = getattr(a, name), getattr(b, name)
            # What was auto was decided as the run began, and layers are those of what it started from.
            decided = now == "auto" or (table == "model" and run.started_from)
            if was != now and name not in ("epochs", "seed", *_WATCHED) and not decided:
                return f"{name} ({was}, not {now})"
    return ""


def _kept_run(directory: Path, kind: type[T]) -> T:
    """What `run.json` says. Raises CharreplError if it is damaged."""
    try:
        return msgspec.json.decode((directory / "run.json").read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CharreplError(
            f"{directory}/run.json is damaged ({error}): train again under another name"
        ) from None


class Reading(msgspec.Struct):
    """The part of `run.json` that says how to read the text: its encoding, if not UTF-8, and its cleaning."""

    encoding: str = ""
    clean: list[str] = []


def reading(directory: Path) -> Reading:
    """How the files of the run in a directory were read; as plain UTF-8 where there is no run."""
    with contextlib.suppress(CharreplError):
        return _kept_run(directory, Reading)
    return Reading()
