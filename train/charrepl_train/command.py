"""What `charrepl-train` does with a checked command line: it reads, trains, measures and says so."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from charrepl.cli.exit_codes import say
from charrepl.cli.options import print_json
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.system.standard_streams import echo
from charrepl_train.display import run_summary
from charrepl_train.model_directory import training_lock
from charrepl_train.run import device_failures, distributed_run, new_run, resumed_run, shell_corpus, trial
from charrepl_train.run.interruption import NOT_SAVED, EndedError, Interruption
from charrepl_train.run.running_time import RunningTime
from charrepl_train.text import corpus_files

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl.terminal.progress import Display
    from charrepl_train.model_directory.records import StepReport
    from charrepl_train.run.loop import Trainer
    from charrepl_train.run.run_options import PreparedRun, RunOptions
    from charrepl_train.text.corpus import Text


class Command(NamedTuple):
    """A command line."""

    corpus: tuple[Path, ...]
    directory: Path  # of the model
    options: RunOptions
    group: distributed_run.Group | None  # of processes
    shell_history: bool
    encoding: str | None
    exclude: tuple[str, ...]
    clean: tuple[str, ...]
    resume: bool
    dry_run: bool
    device: str
    threads: int | None
    quiet: bool
    as_json: bool
    debug: bool


class _Process(NamedTuple):
    """What goes on around a run."""

    leads: bool  # of its group; one without others does
    started: float  # by the clock
    clock: Callable[[], float]  # seconds
    stopped: Interruption
    display: Display
    begins: Callable[[str], None]  # is told what is done next, for a sign of life


class _Source(NamedTuple):
    """A text, and what it was read from."""

    corpus: tuple[Path, ...]  # as named on the command line, or the commands of shells
    files: Sequence[Path]
    text: Text
    notes: list[str]  # what a person should know of it


def run(command: Command) -> None:
    """Trains a model, or says what the run would be.

    Raises click.exceptions.Exit if it was interrupted, and CharreplError for whatever a user can mend.
    """
    before = model_names.default()
    with _one_line_where_it_ends(), Interruption() as stopped, RunningTime(stopped.noticed) as clock:
        started = clock()
        with (
            distributed_run.joined(
                command.group, threads=command.threads, device=command.device, debug=command.debug
            ) as leads,
            _held(command, leads=leads),
            _shown(command, clock, leads=leads) as (display, begins),
        ):
            stopped.tell = lambda message: _tell_at_once(display, message)
            process = _Process(leads, started, clock, stopped, display, begins)
            trainer = _introduced(command, process)
            if trainer is None:
                return
            if not leads:
                _train_along(trainer, stopped)
                return
            begins("Compiling")
            results = _train(trainer, process)
            if results is None:
                _say_how_to_go_on(command, display)
                raise click.exceptions.Exit(130)
            for line in run_summary.summary(trainer, results, before):
                display.say(line)
            if command.as_json:
                _print_result(trainer, results)


@contextlib.contextmanager
def _one_line_where_it_ends() -> Iterator[None]:
    """Turns a signal that came before there was anything to save into a message and an exit code."""
    try:
        yield
    except EndedError as error:
        say(str(error))
        raise click.exceptions.Exit(error.code) from None


def _held(command: Command, *, leads: bool) -> contextlib.AbstractContextManager[None]:
    """Keeps the model's directory from other processes, if anything is written there."""
    if command.dry_run:
        training_lock.check(command.directory, resume=False)
    elif leads:
        return training_lock.held(command.directory, resume=command.resume)
    return contextlib.nullcontext()


@contextlib.contextmanager
def _shown(
    command: Command, clock: Callable[[], float], *, leads: bool
) -> Iterator[tuple[Display, Callable[[str], None]]]:
    from charrepl.terminal.heartbeat import heartbeat
    from charrepl.terminal.progress import Display

    stream = sys.stderr if leads and not command.quiet else None
    with Display(stream, now=clock) as display, heartbeat(display, now=clock) as begins:
        yield display, begins


def _tell_at_once(display: Display, message: str) -> None:
    display.say(message)
    display.drain(1)


def _introduced(command: Command, process: _Process) -> Trainer | None:
    """The trainer of a run that has been introduced; None after a dry run."""
    from charrepl_train.devices import jax_setup

    display, leads = process.display, process.leads
    with _read(command, process) as source:
        process.begins("Finding the device")
        jax_setup.prepare(dry_run=command.dry_run, threads=command.threads, device=command.device)
        jax_setup.check_device(command.device)
        where = jax_setup.describe()
        remark = source.text.strange_ends(source.files) if leads else ""
        distributed_run.check_same(source.text)
        process.begins("Preparing the text and the model")
        process.stopped.check()  # from here on there is something to save
        prepared = _prepared(command, process, source) if leads else None
        notes = source.notes
        if prepared is not None:
            where += prepared.chosen
            notes = [*notes, *prepared.remarks]
        if prepared is not None and command.dry_run:
            for note in notes:
                display.say(note)
            process.begins("Timing a few steps")
            _preview(prepared, source, where, command, process)
            return None
        leader = None if prepared is None else prepared.trainer
        trainer = distributed_run.follow(leader, command.directory, source.text)
    if leads:
        display.say(run_summary.introduction(trainer, where, resume=command.resume))
        for note in notes:
            display.say(note)
        if remark and trainer.config.training.held_out:
            display.say(remark)
        if trainer.run.held_out_seen:
            display.say(run_summary.seen(trainer))
    return trainer


@contextlib.contextmanager
def _read(command: Command, process: _Process) -> Iterator[_Source]:
    """The text, as long as the block runs."""
    from charrepl_train.text.corpus import read  # numpy: only after the command line was checked

    process.begins("Reading the text")
    corpus, directory, read_commands = command.corpus, command.directory, ""
    with contextlib.ExitStack() as kept:
        if command.shell_history:
            commands = shell_corpus.kept(directory)
            if command.dry_run:
                commands = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="charrepl-")))
            if not command.resume and process.leads:
                read_commands = shell_corpus.write(corpus, commands)
            corpus = (commands,)
        before = resumed_run.reading(directory) if command.resume else resumed_run.Reading()
        encoding = before.encoding if command.encoding is None else command.encoding
        clean = command.clean or tuple(before.clean)
        with process.stopped.at_once():
            files, left_out = corpus_files.found(corpus, command.exclude)
            text = kept.enter_context(read(files, near=directory, encoding=encoding, clean=clean))
        told = (read_commands, left_out, text.cleaned, text.markup()) if process.leads else ()
        yield _Source(corpus, files, text, [note for note in told if note])


def _prepared(command: Command, process: _Process, source: _Source) -> PreparedRun:
    """The run, new or resumed; the better of two where both are tried."""
    directory, options, text = command.directory, command.options, source.text
    if command.resume:
        return resumed_run.prepare(directory, text, options)
    if command.dry_run or command.group is not None or not trial.wanted(options, text):
        return new_run.prepare(directory, source.corpus, text, options, dry_run=command.dry_run)
    return trial.better(
        directory,
        source.corpus,
        text,
        options,
        started=process.started,
        clock=process.clock,
        stopped=process.stopped,
        begins=process.begins,
    )


def _preview(run: PreparedRun, source: _Source, where: str, command: Command, process: _Process) -> None:
    from charrepl_train.run import dry_run

    with device_failures.in_one_line(run.trainer.config, run.trainer.directory):
        found = dry_run.preview(run, source.text, source.files, where, interrupted=process.stopped)
    process.display.erase()
    if process.stopped():
        raise click.exceptions.Exit(130)
    if command.as_json:
        print_json(found)
    else:
        echo(found.lines())


def _train(trainer: Trainer, process: _Process) -> dict[str, float] | None:
    """Trains to the end, and returns what was measured there; None if it was stopped and saved."""
    from charrepl.client import model_reload
    from charrepl_train.display import loss_curve, tensorboard
    from charrepl_train.display.report import Reporter
    from charrepl_train.model_directory import metrics_history

    display, stopped = process.display, process.stopped
    board = tensorboard.TensorBoardEvents(trainer.directory, warn=display.say)

    def interrupted() -> bool:
        if stopped():
            display.say("Saving... Another Ctrl-C stops without saving.")
        return stopped()

    def tick(news: StepReport) -> None:
        reporter.tick(news)
        process.begins("Measuring" if news.measures else "")  # steps speak for themselves

    reporter = Reporter(display, metrics_history.read(trainer.directory))
    with device_failures.in_one_line(trainer.config, trainer.directory):
        try:
            steps = trainer.train(
                started=process.started, interrupted=interrupted, tick=tick, clock=process.clock
            )
            for metrics in steps:
                reporter.metrics(metrics)
                board.update()
        except KeyboardInterrupt:
            display.say(NOT_SAVED)
            raise
    results = None
    if not trainer.devices.any(stopped()):
        # Measuring changes nothing that is saved, so there is nothing more to save.
        with (
            contextlib.suppress(KeyboardInterrupt),
            device_failures.in_one_line(trainer.config, trainer.directory),
        ):
            results = trainer.finish(interrupted=stopped, tick=reporter.reads)
    display.erase()
    if results is not None:
        model_reload.reload(trainer.directory)
        board.update()
    loss_curve.save(trainer.directory, warn=display.say)
    return results


def _train_along(trainer: Trainer, stopped: Interruption) -> None:
    """Takes the same steps as process 0, which does everything else."""
    with device_failures.in_one_line(trainer.config, trainer.directory):
        for _ in trainer.train(interrupted=stopped):
            pass
        if trainer.devices.any(stopped()) or trainer.finish(interrupted=stopped) is None:
            raise click.exceptions.Exit(130)


def _say_how_to_go_on(command: Command, display: Display) -> None:
    from charrepl_train.model_directory import checkpoint

    directory = command.directory
    if checkpoint.exists(directory, "best"):
        display.say(f"Type with what it has learnt so far: {run_summary.typing(directory)}")
    own = directory.parent == paths.models_dir()
    place = ["--name", directory.name] if own else ["--out", str(directory)]
    options = [f"--exclude={pattern}" for pattern in command.exclude]
    given = ["--shell-history"] if command.shell_history else [str(path) for path in command.corpus]
    again = shlex.join(["charrepl-train", *given, *options, *place, "--resume"])
    display.say(f"Saved. Continue with: {again}")


def _print_result(trainer: Trainer, results: dict[str, float]) -> None:
    best = float(trainer.state["best"])
    print_json(
        {
            "model": str(trainer.directory),
            "steps": int(trainer.state["step"]),
            "seconds": trainer.run.elapsed_s,
            "dev_loss": best if best < float("inf") else None,
            **results,
        }
    )
