"""charrepl-train: text in, a model that finishes your lines out."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charrepl.cli.exit_codes import Command, exit_codes, say
from charrepl.cli.options import AMOUNT, FilePath, complete_model, print_json
from charrepl.client import daemon_startup
from charrepl.errors import CharreplError
from charrepl.files import encodings, text_files
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.system.standard_streams import echo
from charrepl.version import __version__
from charrepl_train import hyperparameters
from charrepl_train.cleaning import kinds
from charrepl_train.display import run_summary
from charrepl_train.run import begin_or_resume, distributed_run, shell_corpus, sizes
from charrepl_train.run.interruption import NOT_SAVED, EndedError, Interruption
from charrepl_train.run.running_time import RunningTime
from charrepl_train.text import corpus_files

if TYPE_CHECKING:  # jax takes a second to import: --help must not
    from charrepl.terminal.progress import Display
    from charrepl_train.run.loop import Trainer
    from charrepl_train.run.records import StepReport
    from charrepl_train.text.corpus import Text

    Clock = Callable[[], float]


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("corpus", nargs=-1, type=FilePath())
@click.option(
    "--shell-history",
    is_flag=True,
    help="Learn your shells' commands. CORPUS, if given, are history files.",
)
@click.option(
    "--name",
    shell_complete=complete_model,
    help="What to call the model.  [default: the first corpus's name]",
)
@click.option(
    "--preset",
    type=click.Choice(["auto", *hyperparameters.PRESETS]),
    help="Named settings.  [default: auto, by the device and the length of the text]",
)
@click.option(
    "--size",
    type=click.Choice(sizes.SIZES),
    help="Layers x units: 1 x 128, 1 x 256 or 2 x 256 below 200,000 characters; above, 1 x 256, 2 x 256 or "
    "3 x 512; on a GPU 2 x 256, 3 x 512 or 3 x 1024.  [default: medium]",
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
@click.option(
    "--exclude", metavar="GLOB", multiple=True, help="Leave out what matches, such as '*.html' or drafts."
)
@click.option(
    "--clean",
    type=click.Choice(kinds.KINDS),
    multiple=True,
    help="Leave out what nobody wrote: headers and quotations, time stamps, code and links, tags.",
)
@click.option("--epochs", type=AMOUNT, help="How often to read the text.")
@click.option("--minutes", type=AMOUNT, help="How long to train instead.")
@click.option(
    "--resume", is_flag=True, help="Continue a training that was interrupted, or train a model further."
)
@click.option("--dry-run", is_flag=True, help="Say what the run would be and take; write nothing.")
@click.option("--out", type=FilePath(), help="Write the model to this directory instead.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes a run repeatable.")
@click.option(
    "--distributed", is_flag=True, help="Train in all processes that Slurm or Open MPI has started."
)
@click.option(
    "--coordinator", metavar="HOST:PORT", help="Train in several processes: where the first one is."
)
@click.option("--processes", "count", type=click.IntRange(1), help="How many processes there are.")
@click.option("--process-id", type=click.IntRange(0), help="Which of them this is, counted from 0.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True,
              help="Compute on this; auto: a GPU if there is one.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Compute with so many.  [default: all cores]")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name="charrepl-train")
@exit_codes
def main(
    corpus: tuple[Path, ...],
    shell_history: bool,
    name: str | None,
    preset: str | None,
    size: sizes.Size | None,
    config_file: Path | None,
    base: str | None,
    encoding: str | None,
    exclude: tuple[str, ...],
    clean: tuple[str, ...],
    epochs: float | None,
    minutes: float | None,
    resume: bool,
    dry_run: bool,
    out: Path | None,
    seed: int | None,
    distributed: bool,
    coordinator: str | None,
    count: int | None,
    process_id: int | None,
    device: str,
    threads: int | None,
    quiet: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Train a model on CORPUS and keep it under a name.

    CORPUS is one or more text files, directories or patterns such as '**/*.md', or `-` for standard input.

    Ctrl-C saves; the same command with --resume goes on. With the extras installed (pip install
    '.[plot,tensorboard]'), the model's directory also gets curve.png, curve.svg and events for TensorBoard.
    """
    if epochs is not None and minutes is not None:
        raise click.UsageError("choose --epochs or --minutes, not both")
    if not corpus and not shell_history:
        raise click.UsageError("missing CORPUS: name a text to learn from")
    if corpus.count(text_files.STANDARD_INPUT) > 1:
        raise click.UsageError("standard input can be read only once: give - once")
    if encoding is not None:
        encodings.codec(encoding)  # before any file is created for a run that is impossible
    if shell_history:
        name, preset = name or model_names.SHELL, preset or ("shell" if base is None and not resume else None)
    directory = out.absolute() if out else paths.models_dir() / _name(name, corpus)
    paths.utf8(directory, fix="choose another place with --out")
    wishes = begin_or_resume.RunOptions(preset, config_file, base, epochs, minutes, seed, size)
    group = distributed_run.group(coordinator, count, process_id, distributed=distributed)
    if size and resume:
        raise click.UsageError("--size is for a new run: leave it out")
    if dry_run and (resume or group is not None):
        raise click.UsageError("--dry-run is for a new run, of one process")
    before = model_names.default()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_one_line_where_it_ends())
        stopped = stack.enter_context(Interruption())
        clock = stack.enter_context(RunningTime(stopped.noticed))
        begun = clock()
        leads = stack.enter_context(distributed_run.joined(group, debug=debug))
        if dry_run:
            begin_or_resume.check(directory, resume=False)
        elif leads:
            stack.enter_context(begin_or_resume.held(directory, resume=resume))
        read_commands = ""
        if shell_history:
            commands = shell_corpus.kept(directory)
            if dry_run:
                commands = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="charrepl-")))
            if not resume and leads:
                read_commands = shell_corpus.write(corpus, commands)
            corpus = (commands,)
        from charrepl.terminal.heartbeat import heartbeat
        from charrepl.terminal.progress import Display
        from charrepl_train.text.corpus import read  # numpy: only after the command line was checked

        display = stack.enter_context(Display(sys.stderr if leads and not quiet else None, now=clock))
        begins = stack.enter_context(heartbeat(display, now=clock))
        begins("Reading the text")
        before_it = begin_or_resume.reading(directory) if resume else begin_or_resume.Reading()
        encoding, clean = (
            before_it.encoding if encoding is None else encoding,
            clean or tuple(before_it.clean),
        )
        stopped.tell = lambda message: _tell_at_once(display, message)
        with contextlib.ExitStack() as kept:
            with stopped.at_once():
                files, left_out = corpus_files.found(corpus, exclude)
                text = kept.enter_context(read(files, near=directory, encoding=encoding, clean=clean))
            from charrepl_train.devices import jax_setup

            begins("Finding the device")
            jax_setup.prepare(dry_run=dry_run, threads=threads, device=device)
            jax_setup.check_device(device)
            trainer, where, remark = None, jax_setup.describe(), text.strange_ends(files) if leads else ""
            told = (read_commands, left_out, text.cleaned, text.markup()) if leads else ()
            notes = [note for note in told if note]
            distributed_run.check_same(text)
            begins("Preparing the text and the model")
            stopped.check()  # from here on there is something to save
            if leads and resume:
                run = begin_or_resume.resumed(directory, text, wishes)
            elif leads:
                run = begin_or_resume.new(directory, corpus, text, wishes, dry_run=dry_run)
            if leads:
                trainer, where = run.trainer, where + run.chosen
                notes += run.remarks
            if dry_run:
                for note in notes:
                    display.say(note)
                begins("Timing a few steps")
                _preview(run, text, files, where, display, stopped, as_json=as_json)
                return
            trainer = distributed_run.follow(trainer, directory, text)
        if not leads:
            _train_along(trainer, stopped)
            return
        from charrepl_train.run import checkpoint

        display.say(run_summary.introduction(trainer, where, resume=resume))
        for note in notes:
            display.say(note)
        if remark and trainer.config.training.held_out:
            display.say(remark)
        if trainer.run.held_out_seen:
            display.say(run_summary.seen(trainer))
        begins("Compiling")
        results = _train(trainer, display, begins, begun=begun, clock=clock, stopped=stopped)
        if results is None:
            if checkpoint.exists(directory, "best"):
                display.say(f"Type with what it has learnt so far: {run_summary.typing(directory)}")
            own = directory.parent == paths.models_dir()
            place = ["--name", directory.name] if own else ["--out", str(directory)]
            options = [f"--exclude={pattern}" for pattern in exclude]
            given = ["--shell-history"] if shell_history else [str(path) for path in corpus]
            again = shlex.join(["charrepl-train", *given, *options, *place, "--resume"])
            display.say(f"Saved. Continue with: {again}")
            raise click.exceptions.Exit(130)
        for line in run_summary.summary(trainer, results, before):
            display.say(line)
        if as_json:
            _print_result(trainer, results)


@contextlib.contextmanager
def _one_line_where_it_ends() -> Iterator[None]:
    """Turns a signal that came before there was anything to save into a message and an exit code."""
    try:
        yield
    except EndedError as error:
        say(str(error))
        raise click.exceptions.Exit(error.code) from None


def _tell_at_once(display: Display, message: str) -> None:
    display.say(message)
    display.drain(1)


def _name(name: str | None, corpus: tuple[Path, ...]) -> str:
    """The model's name: as given, else made from the first file's, whatever characters that has."""
    return model_names.check_name(name or model_names.named_after(corpus_files.name(corpus[0])))


def _preview(
    begun: begin_or_resume.Begun,
    text: Text,
    files: Sequence[Path],
    where: str,
    display: Display,
    stopped: Interruption,
    *,
    as_json: bool,
) -> None:
    from charrepl_train.run import dry_run

    with begin_or_resume.in_one_line(begun.trainer.config, begun.trainer.directory):
        found = dry_run.preview(begun, text, files, where, interrupted=stopped)
    display.erase()
    if stopped():
        raise click.exceptions.Exit(130)
    if as_json:
        print_json(found)
    else:
        echo(found.lines())


def _train(
    trainer: Trainer,
    display: Display,
    begins: Callable[[str], None],
    *,
    begun: float,
    clock: Clock,
    stopped: Interruption,
) -> dict[str, float] | None:
    """Trains to the end, and returns what was measured there; None if it was stopped and saved."""
    from charrepl_train.display import loss_curve, tensorboard
    from charrepl_train.display.report import Reporter
    from charrepl_train.run import metrics_history

    board = tensorboard.TensorBoardEvents(trainer.directory, warn=display.say)

    def interrupted() -> bool:
        if stopped():
            display.say("Saving... Another Ctrl-C stops without saving.")
        return stopped()

    def tick(news: StepReport) -> None:
        reporter.tick(news)
        begins("Measuring" if news.measures else "")  # steps speak for themselves

    reporter = Reporter(display, metrics_history.read(trainer.directory))
    with begin_or_resume.in_one_line(trainer.config, trainer.directory):
        try:
            steps = trainer.train(begun=begun, interrupted=interrupted, tick=tick, clock=clock)
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
            begin_or_resume.in_one_line(trainer.config, trainer.directory),
        ):
            results = trainer.finish(interrupted=stopped, tick=reporter.reads)
    display.erase()
    if results is not None:
        _tell_daemon(trainer.directory)
        board.update()
    loss_curve.save(trainer.directory, warn=display.say)
    return results


def _train_along(trainer: Trainer, stopped: Interruption) -> None:
    """Takes the same steps as process 0, which does everything else."""
    with begin_or_resume.in_one_line(trainer.config, trainer.directory):
        for _ in trainer.train(interrupted=stopped):
            pass
        if trainer.devices.any(stopped()) or trainer.finish(interrupted=stopped) is None:
            raise click.exceptions.Exit(130)


def _tell_daemon(directory: Path) -> None:
    """Tells a running daemon to reload the model, if it has it in memory. Ignores failures."""
    from charrepl.client import Client
    from charrepl.wire import protocol

    # The daemon loads any other model on first use, so a failure here does no harm.
    with contextlib.suppress(CharreplError):
        if not daemon_startup.is_listening(paths.endpoint()):
            return
        with Client(autostart=False) as client:
            if any(model["path"] == str(directory) for model in client.status()["models"]):
                client.ask(protocol.Reload(seq=0, model=str(directory)), timeout_s=60)


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
