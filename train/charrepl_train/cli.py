"""charrepl-train: text in, a model that finishes your lines out."""

from __future__ import annotations

import contextlib
import functools
import math
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import msgspec

from charrepl import __version__, launch, models, paths
from charrepl.errors import CharreplError, reason
from charrepl.exits import exit_codes
from charrepl.options import AMOUNT
from charrepl_train import auto, processes
from charrepl_train import config as config_module
from charrepl_train.config import Config

# What there is of a model before its training has begun.
_BEFOREHAND = {"vocab.json", "vocab.json.new", "config.toml", "config.toml.new", "run.json.new"}

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from rich.console import Console

    from charrepl_train.corpus import Text
    from charrepl_train.loop import Trainer


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("corpus", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="What to call the model.  [default: the first corpus's name]")
@click.option(
    "--preset",
    type=click.Choice(["auto", *config_module.PRESETS]),
    help="Named settings.  [default: auto, by the device and the length of the text]",
)
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Settings of your own, in TOML."
)
@click.option("--epochs", type=AMOUNT, help="How often to read the text.")
@click.option("--minutes", type=AMOUNT, help="How long to train instead.")
@click.option("--resume", is_flag=True, help="Go on with a model that was interrupted, or train it further.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the model to this directory instead.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes a run repeatable.")
@click.option(
    "--distributed", is_flag=True, help="Train in all processes that Slurm or Open MPI has started."
)
@click.option(
    "--coordinator", metavar="HOST:PORT", help="Train in several processes: where the first one is."
)
@click.option("--processes", "count", type=click.IntRange(1), help="How many those are.")
@click.option("--process-id", type=click.IntRange(0), help="Which of them this is, from 0.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name="charrepl-train")
@exit_codes
def main(
    corpus: tuple[Path, ...],
    name: str | None,
    preset: str | None,
    config_file: Path | None,
    epochs: float | None,
    minutes: float | None,
    resume: bool,
    out: Path | None,
    seed: int | None,
    distributed: bool,
    coordinator: str | None,
    count: int | None,
    process_id: int | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Train a model on CORPUS, one or more UTF-8 text files, and keep it under a name.

    Ctrl-C saves; the same command with --resume goes on. With the extras installed (pip install
    '.[plot,tensorboard]'), the model's directory also gets curve.png, curve.svg and events for TensorBoard.
    """
    if epochs is not None and minutes is not None:
        raise click.UsageError("choose --epochs or --minutes, not both")
    directory = out.absolute() if out else paths.models_dir() / _name(name, corpus[0])
    overrides = {"epochs": epochs, "seed": seed}
    training = {key: value for key, value in overrides.items() if value is not None}
    group = processes.group(coordinator, count, process_id, distributed=distributed)
    with processes.joined(group, debug=debug) as leads:
        if leads:
            _check_taken(directory, resume=resume)
        from charrepl_train.corpus import read  # numpy: only once the command line is known to be right

        with read(corpus, near=directory) as text:
            from charrepl_train import device

            device.prepare()
            trainer, where = None, device.describe()
            processes.check_same(text)
            if leads and resume:
                trainer = _resumed(directory, text, preset, config_file, training, minutes)
            elif leads:
                config, chosen = _settings(preset, config_file, training, text, on_gpu=device.has_gpu())
                where += chosen
                trainer = _new(directory, config, corpus, text, minutes)
            trainer = processes.follow(trainer, directory, text)
        _train(trainer, corpus, where=where, as_json=as_json)


def _name(name: str | None, corpus: Path) -> str:
    """The model's name: as given, else made from the file's, whatever that has in it."""
    return models.check_name(name or re.sub(r"[^\w.-]+", "-", corpus.stem).strip("-.") or "model")


def _check_taken(directory: Path, *, resume: bool) -> None:
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
    """Whether there is more than a run leaves that ended before it began, on a full disk perhaps."""
    if not directory.is_dir():
        return directory.exists()
    names = {path.name for path in directory.iterdir()}
    return not names <= _BEFOREHAND or names == {"config.toml"}  # that one alone is somebody's own


def _settings(
    preset: str | None, config_file: Path | None, training: dict[str, float], text: Text, *, on_gpu: bool
) -> tuple[Config, str]:
    """The settings of a new run, and how they were chosen, for a person, where nobody said."""
    chosen = ""
    if preset is None or preset == "auto":
        choice = auto.choose(text.characters, on_gpu=on_gpu)
        config, chosen = choice.config, f" with preset {choice.name}, for {choice.why}"
    else:
        config = config_module.preset(preset)
    if config_file is not None:
        config = config_module.load(config_file, base=config)
    return config_module.replace(config, training=training), chosen


def _new(
    directory: Path, config: Config, files: tuple[Path, ...], text: Text, minutes: float | None
) -> Trainer:
    from charrepl_train.loop import Run, Trainer

    names = [path.name for path in files]
    run = Run(corpus=names, corpus_digest=text.digest, total_steps=0, minutes=minutes)
    corpus = text.corpus(config.training)
    with _one_line(config, directory):
        trainer = Trainer(directory, config, run, corpus)
    run.total_steps = 0 if minutes is not None else _steps(trainer)
    trainer.write_settings()
    return trainer


def _resumed(
    directory: Path,
    text: Text,
    preset: str | None,
    config_file: Path | None,
    training: dict[str, float],
    minutes: float | None,
) -> Trainer:
    from charrepl_train.loop import Run, Trainer
    from charrepl_train.vocab import Vocabulary

    kept = config_module.load(directory / "config.toml")
    try:
        run = msgspec.json.decode((directory / "run.json").read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CharreplError(
            f"{directory}/run.json is damaged ({error}): train anew under another name"
        ) from None
    if run.corpus_digest != text.digest:
        raise CharreplError(
            f"{directory.name} was trained on another text ({', '.join(run.corpus)}): "
            "resume with the same files, unchanged and in the same order, or choose another --name"
        )
    wanted = kept
    if preset not in (None, "auto"):
        wanted = config_module.preset(preset)
    if config_file is not None:
        wanted = config_module.load(config_file, base=wanted)
    changed = _changed(kept, wanted)
    if training.get("seed", kept.training.seed) != kept.training.seed:
        changed = f"seed ({kept.training.seed}, not {training['seed']})"
    if changed:
        raise CharreplError(
            f"{directory.name} was trained with another {changed}: resume without --preset, --config and "
            "--seed, or choose another --name"
        )
    vocabulary = Vocabulary.load(directory / "vocab.json")
    corpus = text.corpus(kept.training)
    if vocabulary != corpus.vocabulary:
        raise CharreplError(
            f"{directory}/vocab.json is not the vocabulary of this text: restore it, or choose another --name"
        )
    config = config_module.replace(kept, training=training)
    with _one_line(config, directory):
        trainer = Trainer(directory, config, run, corpus)
        step = trainer.resume()
    # The command that was interrupted goes on with the same steps. Another length plans them anew, and so
    # do minutes for a run that is finished: they count from here.
    if "epochs" in training:
        run.minutes, run.total_steps = None, _steps(trainer)
    elif minutes is not None and (minutes != run.minutes or run.finished):
        run.minutes, run.total_steps = minutes, 0
    else:
        return trainer
    run.finished = run.finished and 0 < run.total_steps <= step
    trainer.write_settings()
    return trainer


@contextlib.contextmanager
def _one_line(config: Config, directory: Path) -> Iterator[None]:
    """Turns what a device fails with, most often its memory, into an error that says what to lower."""
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        out_of_memory = "RESOURCE_EXHAUSTED" in str(error)  # while tracing it comes as a ValueError
        if isinstance(error, ValueError) and not out_of_memory:
            raise
        cause = "is out of memory" if out_of_memory else f"failed ({reason(error)})"
        kept = f" under another --name; what was saved before is kept in {directory}"
        raise CharreplError(
            f"the device {cause} with hidden_size = {config.model.hidden_size} and "
            f"batch_size = {config.training.batch_size}: train with a lower one"
            + (kept if directory.exists() else "")
        ) from error


def _changed(kept: Config, wanted: Config) -> str:
    """The first setting that differs, or nothing."""
    for table in kept.__struct_fields__:
        a, b = getattr(kept, table), getattr(wanted, table)
        for name in a.__struct_fields__:
            if getattr(a, name) != getattr(b, name) and name not in ("epochs", "seed"):
                return f"{name} ({getattr(a, name)}, not {getattr(b, name)})"
    return ""


def _steps(trainer: Trainer) -> int:
    return max(1, round(trainer.config.training.epochs * trainer.batches.steps_per_epoch))


def _train(trainer: Trainer, corpus: tuple[Path, ...], *, where: str, as_json: bool) -> None:
    from rich.console import Console

    stopped = _StopSignal()
    if not trainer.devices.leads:
        _train_along(trainer, stopped)
        return
    from charrepl_train import events, history, plot
    from charrepl_train.report import Reporter, duration

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    model = trainer.config.model
    epochs = trainer.run.total_steps / trainer.batches.steps_per_epoch
    console.print(
        f"Training {trainer.directory.name} on {where}: {model.layers} x {model.hidden_size}, "
        f"{trainer.parameters:,} parameters, {len(trainer.corpus.train):,} characters "
        f"of {len(trainer.vocabulary) - 1:,} kinds" + (f", {epochs:.3g} epochs" if epochs else "") + ". "
        "Ctrl-C saves.",
        soft_wrap=True,
    )
    warn = functools.partial(console.print, soft_wrap=True)
    board = events.Events(trainer.directory, warn=warn)

    def interrupted() -> bool:
        if stopped():
            console.print("\nSaving...")
        return stopped()

    before = history.read(trainer.directory)
    with Reporter(console, before) as reporter, stopped, _one_line(trainer.config, trainer.directory):
        for metrics in trainer.train(interrupted=interrupted, tick=reporter.tick):
            reporter.metrics(metrics)
            board.update()
    if trainer.devices.any(stopped()):
        own = trainer.directory.parent == paths.models_dir()
        place = ["--name", trainer.directory.name] if own else ["--out", str(trainer.directory)]
        again = shlex.join(["charrepl-train", *map(str, corpus), *place, "--resume"])
        console.print(f"Saved. Go on with: {again}", soft_wrap=True)
        plot.save(trainer.directory, warn=warn)
        raise click.exceptions.Exit(130)
    with _one_line(trainer.config, trainer.directory):
        results = trainer.finish()
    _tell_daemon(trainer.directory)
    board.update()
    plot.save(trainer.directory, warn=warn)
    _summary(console, trainer, results, duration(trainer.run.elapsed_s), as_json=as_json)


def _train_along(trainer: Trainer, stopped: _StopSignal) -> None:
    """Takes the steps that process 0 takes, and leaves all else to it."""
    with stopped, _one_line(trainer.config, trainer.directory):
        for _ in trainer.train(interrupted=stopped):
            pass
        if trainer.devices.any(stopped()):
            raise click.exceptions.Exit(130)
        trainer.finish()


def _tell_daemon(directory: Path) -> None:
    """Has a running daemon take up the new weights of a model that it holds, if it will."""
    from charrepl import protocol
    from charrepl.client import Client

    # Any other model it loads on first use: nothing is lost where it cannot be told.
    with contextlib.suppress(CharreplError):
        if not launch.is_listening(paths.endpoint()):
            return
        with Client(autostart=False) as client:
            if any(model.loaded and model.path == str(directory) for model in client.models().models):
                client.ask(protocol.Reload(seq=0, model=directory.name), timeout_s=60)


def _summary(
    console: Console, trainer: Trainer, results: dict[str, float], took: str, *, as_json: bool
) -> None:
    best = float(trainer.state["best"])
    if as_json:
        report = {
            "model": str(trainer.directory),
            "steps": int(trainer.state["step"]),
            "seconds": trainer.run.elapsed_s,
            "dev_loss": best if best < float("inf") else None,
            **results,
        }
        click.echo(msgspec.json.encode(report))
    if "held_out_loss" in results:
        nats = results["held_out_loss"]
        bits = nats / math.log(2)
        console.print(f"Held-out loss {nats:.4f} nats per character ({bits:.3f} bits), after {took}.")
    in_models = trainer.directory.parent == paths.models_dir()
    command = "charrepl" if in_models else shlex.join(["charrepl", "--model", str(trainer.directory)])
    console.print(f"Type with it: {command}", soft_wrap=True)


class _StopSignal:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self._wanted = False

    def __call__(self) -> bool:
        return self._wanted

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._wanted = True  # and no more: printing from here may meet a print that is under way
