"""Begins or resumes a run: its settings, its directory, and what it starts from."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from charrepl.errors import CharreplError, reason
from charrepl.settings import model_names
from charrepl.system import disk_errors
from charrepl.wire.protocol import replace_surrogates
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.run import presets, sizes

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl_train.model_directory.loaded_model import LoadedModel
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text.corpus import Text

T = TypeVar("T")

TRIAL = "trial"  # where two ways to begin are tried
_LOCK = "train.lock"
_WATCHED = ("evaluations", "sample_characters", "sample_epochs")  # what a run may change as it goes on
# The files of a model before its training has begun.
_SETTINGS = ("vocab.json", "config.toml", "learnt.json", "run.json")
_BEFOREHAND = {
    *("vocab.json", "config.toml", "learnt.json", model_names.SHELL_HISTORY, TRIAL),
    *(name + ".charrepl-new" for name in _SETTINGS),
}


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


@contextlib.contextmanager
def held(directory: Path, *, resume: bool) -> Iterator[None]:
    """Locks a model's directory, so that no other process trains in it.

    Raises CharreplError if one of them has it, a new run would overwrite something, or there is none to
    resume.
    """
    import filelock  # --help does without

    check(directory, resume=resume)
    ours = not directory.exists()
    lock = filelock.FileLock(directory / _LOCK, mode=0o600, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CharreplError(
            f"another charrepl-train is at work in {directory}: wait for it, or choose another --name"
        ) from None
    except (OSError, NotImplementedError):
        pass  # a place that cannot be written to, which says so soon, or a file system without locks
    try:
        check(directory, resume=resume)  # another may have begun and ended since
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            if [path.name for path in directory.iterdir()] == [_LOCK]:  # nothing came of it
                (directory / _LOCK).unlink()
                if ours:
                    directory.rmdir()


def check(directory: Path, *, resume: bool) -> None:
    """Raises CharreplError if a new run would overwrite something there, or there is none to resume."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CharreplError(
            f"cannot train in {directory}: {disk_errors.cause(error)}: "
            f"{disk_errors.advice(error, 'or choose another place with --out')}"
        ) from None
    else:
        if not stat.S_ISDIR(found.st_mode):
            raise CharreplError(f"{directory} is not a directory: choose another --name or --out")
    if (directory / "run.json").is_file():
        if not resume:
            raise CharreplError(
                f"a model is already in {directory}: "
                "pass --resume to train it further, or --name to keep both"
            )
    elif _occupied(directory):
        raise CharreplError(
            f"{directory} has files in it, but no run.json to resume from: choose another --name or --out"
        )
    elif resume:
        raise CharreplError(f"there is nothing to resume in {directory}: leave --resume out, or check --name")


def _occupied(directory: Path) -> bool:
    """Whether there is more than what a run leaves if it fails before it begins, perhaps on a full disk."""
    if not directory.is_dir():
        return False
    names = {path.name for path in directory.iterdir()} - {_LOCK}
    return not names <= _BEFOREHAND or names == {"config.toml"}  # that file alone is the user's own


class Begun(NamedTuple):
    """A run that is ready, and what a person should know of it."""

    trainer: Trainer
    chosen: str = ""  # how its settings were chosen, where nobody said
    remarks: Sequence[str] = ()
    sizes: Mapping[sizes.Size, tuple[int, int]] = MappingProxyType({})  # to choose from


class _Base(NamedTuple):
    """A model to start from."""

    directory: Path
    loaded: LoadedModel


def _base(name: str) -> _Base:
    from charrepl_train.model_directory import loaded_model

    directory = model_names.find(name)
    return _Base(directory, loaded_model.load(directory))


def new(
    directory: Path, files: tuple[Path, ...], text: Text, wishes: RunOptions, *, dry_run: bool = False
) -> Begun:
    """A new run in a directory.

    With `dry_run`, nothing is written.
    Raises CharreplError if a setting is wrong, the model to start from cannot be read, or the device fails.
    """
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run import finetune
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text import fingerprint

    base = None if wishes.base is None else _base(wishes.base)
    config, chosen, choice = _settings(wishes, text, base)
    names = [replace_surrogates(path.name) for path in files]
    run = Run(
        corpus=names,
        encoding=text.encoding,
        clean=list(text.clean),
        corpus_digest=text.digest,
        total_steps=0,
        minutes=wishes.minutes,
    )
    if base is not None:
        run.started_from, run.started_digest = str(base.directory), base.loaded.digest
    corpus = text.corpus(config.training)
    learnt = fingerprint.compute([corpus.train], corpus.vocabulary)
    remarks = finetune.suggested(text) if base is None and wishes.preset in (None, "auto") else []
    if base is not None:
        remarks += finetune.new_characters(base.loaded, corpus.vocabulary, base.directory.name)
        before = fingerprint.load(base.directory)
        held_out = fingerprint.compute(corpus.held_out.pieces(), corpus.vocabulary)
        run.held_out_seen, learnt = before.share_of(held_out), before | learnt
    with in_one_line(config, directory):
        trainer = Trainer(directory, config, run, corpus, base=base and base.loaded)
    run.total_steps = 0 if wishes.minutes is not None else _steps(trainer)
    if not dry_run:
        trainer.files.write_learnt(learnt)
        trainer.write_settings()
    return Begun(trainer, chosen, remarks, choice)


def _settings(
    wishes: RunOptions, text: Text, base: _Base | None
) -> tuple[Config, str, Mapping[sizes.Size, tuple[int, int]]]:
    """The settings, how they were chosen, and the sizes that there are."""
    from charrepl_train.devices import jax_setup
    from charrepl_train.run import finetune

    chosen = ""
    if wishes.preset in (None, "auto", "shell"):
        choice = presets.choose(
            text.characters,
            on_gpu=jax_setup.has_gpu(),
            begun=base is not None,
            of_shell=wishes.preset == "shell",
        )
        preset, chosen = choice.config, f" with preset {choice.name}, for {choice.why}"
    else:
        preset = hyperparameters.preset(wishes.preset)
    rungs = sizes.by_name(preset.model) if base is None else {}
    if wishes.size is not None:
        if base is not None:
            raise CharreplError(
                f"a model that starts from {base.directory.name} has its size: leave --size or --from out"
            )
        preset = sizes.sized(preset, wishes.size)
    config = _over(preset, wishes)
    if base is not None:
        config = finetune.settings(config, base.loaded, preset=preset)
        chosen += f", from {base.directory.name}"
    if config.training.precision == "auto":
        precision = "bf16" if jax_setup.multiplies_bf16() else "f32"
        config = hyperparameters.replace(config, training={"precision": precision})
    return hyperparameters.replace(config, training=wishes.training()), chosen, rungs


def _over(config: Config, wishes: RunOptions) -> Config:
    """`config`, but for what is in the file of settings, if there is one."""
    return config if wishes.config_file is None else hyperparameters.load(wishes.config_file, base=config)


def resumed(directory: Path, text: Text, wishes: RunOptions) -> Begun:
    """The run in a directory, from where it was saved, or from its start if it never was.

    How it is watched may change, and how long it is. Raises CharreplError if it is damaged, or the text, the
    other settings or the start are not what it began with.
    """
    from charrepl_train.model_directory import checkpoint
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text import split
    from charrepl_train.text.vocabulary import Vocabulary

    kept = hyperparameters.load(directory / "config.toml")
    run = _kept_run(directory, Run)
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
    named = _over(kept, wishes).training
    watched = {name: getattr(named, name) for name in _WATCHED}
    watched = {name: value for name, value in watched.items() if value != getattr(kept.training, name)}
    remarks = [
        f"{name} is {now} from here on; it was {getattr(kept.training, name)}."
        for name, now in watched.items()
    ]
    if wishes.seed is None:
        wishes = wishes._replace(seed=named.seed)
    if wishes.epochs is wishes.minutes is None and named.epochs != kept.training.epochs:
        wishes = wishes._replace(epochs=named.epochs)
    changed = _changed(kept, run, wishes)
    if changed:
        raise CharreplError(
            f"{directory.name} was trained with another {changed}: resume without --preset, --config, "
            "--from and --seed, or choose another --name"
        )
    vocabulary = Vocabulary.load(directory / "vocab.json")
    rule = split.kept(run.split)
    corpus = text.corpus(kept.training, normal_form=vocabulary.normal_form, rule=rule)
    if vocabulary != corpus.vocabulary:
        raise CharreplError(
            f"{directory}/vocab.json is not the vocabulary of this text: restore it, or choose another --name"
        )
    config = hyperparameters.replace(kept, training=wishes.training() | watched)
    base = _base_again(run, directory)
    with in_one_line(config, directory):
        trainer = Trainer(directory, config, run, corpus, base=base and base.loaded)
        step = trainer.resume()
    # The command that was interrupted goes on with the same steps. Another length plans them again, and so do
    # minutes for a run that is finished: they count from here.
    if wishes.epochs is not None:
        run.minutes, run.total_steps = None, _steps(trainer)
        if run.total_steps < step:
            raise CharreplError(
                f"{directory.name} has been trained for {step / trainer.batches.steps_per_epoch:.3g} epochs "
                f"already: resume with more than {wishes.epochs:g}, or choose another --name"
            )
    elif wishes.minutes is not None and (wishes.minutes != run.minutes or run.finished):
        run.minutes, run.total_steps = wishes.minutes, 0
    elif not watched:
        return Begun(trainer)
    if run.finished and not run.completed_at:  # by an earlier version
        run.completed_at = (directory / "run.json").stat().st_mtime
    run.finished = run.finished and run.total_steps == step
    trainer.write_settings()
    return Begun(trainer, remarks=remarks)


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


def _base_again(run: Run, directory: Path) -> _Base | None:
    """What a run started from, if it saved nothing yet and so starts once more."""
    from charrepl_train.model_directory import checkpoint

    if not run.started_from or checkpoint.exists(directory, "latest"):
        return None
    base = _base(run.started_from)
    if base.loaded.digest != run.started_digest:
        raise CharreplError(
            f"{directory.name} started from {run.started_from}, which has changed since, and saved nothing: "
            "train anew under another --name"
        )
    return base


def _changed(kept: Config, run: Run, wishes: RunOptions) -> str:
    """The first wish that differs from what the run began with; empty if none does."""
    if wishes.base is not None and str(model_names.find(wishes.base)) != run.started_from:
        return f"start ({run.started_from or 'from nothing'}, not {wishes.base})"
    if wishes.seed not in (None, kept.training.seed):
        return f"seed ({kept.training.seed}, not {wishes.seed})"
    wanted = _over(kept if wishes.preset in (None, "auto") else hyperparameters.preset(wishes.preset), wishes)
    for table in kept.__struct_fields__:
        a, b = getattr(kept, table), getattr(wanted, table)
        for name in a.__struct_fields__:
            was, now = getattr(a, name), getattr(b, name)
            # What was auto was decided as the run began, and layers are those of what it started from.
            decided = now == "auto" or (table == "model" and run.started_from)
            if was != now and name not in ("epochs", "seed", *_WATCHED) and not decided:
                return f"{name} ({was}, not {now})"
    return ""


def _steps(trainer: Trainer) -> int:
    """How many steps the run's epochs are. Raises CharreplError if they are beyond counting."""
    from charrepl_train.run.evaluation_schedule import UNDECIDED

    epochs = trainer.config.training.epochs
    steps = max(1, round(epochs * trainer.batches.steps_per_epoch))
    if steps >= UNDECIDED:
        most = (UNDECIDED - 1) // trainer.batches.steps_per_epoch
        raise CharreplError(f"{epochs:,.7g} epochs are {steps:,} steps: choose {most:,} epochs at most")
    return steps


@contextlib.contextmanager
def in_one_line(config: Config, directory: Path) -> Iterator[None]:
    """Turns what a device fails with, most often its memory, into an error that says what to lower."""
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        out_of_memory = "RESOURCE_EXHAUSTED" in str(error)  # while tracing it comes as a ValueError
        if isinstance(error, ValueError) and not out_of_memory:
            raise
        cause = "is out of memory" if out_of_memory else f"failed ({reason(error)})"
        kept = f", under another --name; what was saved before is kept in {directory}"
        raise CharreplError(
            f"the device {cause} with hidden_size = {config.model.hidden_size} and "
            f"batch_size = {config.training.batch_size}: train with a lower one in a --config file"
            + (kept if directory.exists() else "")
        ) from error
