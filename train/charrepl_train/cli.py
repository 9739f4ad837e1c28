"""charrepl-train: text in, a model that finishes your lines out."""

from __future__ import annotations

import contextlib
import functools
import math
import shlex
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import msgspec

from charrepl import __version__, launch, models, paths, text_encodings, text_files
from charrepl.errors import CharreplError
from charrepl.exits import exit_codes
from charrepl.options import AMOUNT, FilePath, complete_model
from charrepl_train import begin, processes
from charrepl_train import config as config_module

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from rich.console import Console

    from charrepl_train.loop import Trainer


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("corpus", nargs=-1, required=True, type=FilePath())
@click.option(
    "--name",
    shell_complete=complete_model,
    help="What to call the model.  [default: the first corpus's name]",
)
@click.option(
    "--preset",
    type=click.Choice(["auto", *config_module.PRESETS]),
    help="Named settings.  [default: auto, by the device and the length of the text]",
)
@click.option("--config", "config_file", type=FilePath(), help="Settings of your own, in TOML.")
@click.option(
    "--from",
    "base",
    metavar="NAME|DIR",
    shell_complete=complete_model,
    help="Start from what that model has learnt, instead of from nothing.",
)
@click.option(
    "--encoding", metavar="NAME", help="What CORPUS is encoded in, such as GB18030.  [default: UTF-8]"
)
@click.option("--epochs", type=AMOUNT, help="How often to read the text.")
@click.option("--minutes", type=AMOUNT, help="How long to train instead.")
@click.option("--resume", is_flag=True, help="Go on with a model that was interrupted, or train it further.")
@click.option("--out", type=FilePath(), help="Write the model to this directory instead.")
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
    base: str | None,
    encoding: str | None,
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
    """Train a model on CORPUS, one or more text files or `-` for standard input, and keep it under a name.

    Ctrl-C saves; the same command with --resume goes on. With the extras installed (pip install
    '.[plot,tensorboard]'), the model's directory also gets curve.png, curve.svg and events for TensorBoard.
    """
    begun = time.monotonic()
    if epochs is not None and minutes is not None:
        raise click.UsageError("choose --epochs or --minutes, not both")
    if corpus.count(text_files.STANDARD_INPUT) > 1:
        raise click.UsageError("standard input can be read only once: give - once")
    if encoding is not None:
        text_encodings.codec(encoding)  # before anything is made for a run that cannot be
    directory = out.absolute() if out else paths.models_dir() / _name(name, corpus[0])
    wishes = begin.Wishes(preset, config_file, base, epochs, minutes, seed)
    group = processes.group(coordinator, count, process_id, distributed=distributed)
    with processes.joined(group, debug=debug) as leads, contextlib.ExitStack() as stack:
        if leads:
            stack.enter_context(begin.held(directory, resume=resume))
        from charrepl_train.corpus import read  # numpy: only once the command line is known to be right

        if encoding is None:
            encoding = begin.encoding(directory) if resume else ""
        with read(corpus, near=directory, encoding=encoding) as text:
            from charrepl_train import device

            device.prepare()
            trainer, where = None, device.describe()
            processes.check_same(text)
            if leads and resume:
                trainer = begin.resumed(directory, text, wishes)
            elif leads:
                trainer, chosen = begin.new(directory, corpus, text, wishes)
                where += chosen
            trainer = processes.follow(trainer, directory, text)
        _train(trainer, corpus, begun=begun, where=where, as_json=as_json)


def _name(name: str | None, corpus: Path) -> str:
    """The model's name: as given, else made from the file's, whatever that has in it."""
    return models.check_name(name or models.named_after(corpus.stem))


def _train(trainer: Trainer, corpus: tuple[Path, ...], *, begun: float, where: str, as_json: bool) -> None:
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
        f"Training {trainer.directory.name} on {where}: {model.layers} x {model.hidden_size}"
        + (" by cuDNN" if trainer.by_cudnn else "")
        + f", {trainer.parameters:,} parameters, {len(trainer.corpus.train):,} characters "
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
    with Reporter(console, before) as reporter, stopped, begin.in_one_line(trainer.config, trainer.directory):
        for metrics in trainer.train(begun=begun, interrupted=interrupted, tick=reporter.tick):
            reporter.metrics(metrics)
            board.update()
    results = None
    if not trainer.devices.any(stopped()):
        with (
            contextlib.suppress(KeyboardInterrupt),
            begin.in_one_line(trainer.config, trainer.directory),
            console.status("Reading the held-out text..."),
        ):
            results = trainer.finish()
    if results is None:
        own = trainer.directory.parent == paths.models_dir()
        place = ["--name", trainer.directory.name] if own else ["--out", str(trainer.directory)]
        again = shlex.join(["charrepl-train", *map(str, corpus), *place, "--resume"])
        console.print(f"Saved. Go on with: {again}", soft_wrap=True)
        plot.save(trainer.directory, warn=warn)
        raise click.exceptions.Exit(130)
    _tell_daemon(trainer.directory)
    board.update()
    plot.save(trainer.directory, warn=warn)
    _summary(console, trainer, results, duration(trainer.run.elapsed_s), as_json=as_json)


def _train_along(trainer: Trainer, stopped: _StopSignal) -> None:
    """Takes the steps that process 0 takes, and leaves all else to it."""
    with stopped, begin.in_one_line(trainer.config, trainer.directory):
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
            if any(model["path"] == str(directory) for model in client.status()["models"]):
                client.ask(protocol.Reload(seq=0, model=str(directory)), timeout_s=60)


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
