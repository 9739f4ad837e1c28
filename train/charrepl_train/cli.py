"""charrepl-train: text in, a model that finishes your lines out."""

from __future__ import annotations

from pathlib import Path

import click

from charrepl.cli.exit_codes import Command, exit_codes
from charrepl.cli.options import AMOUNT, FilePath, complete_model
from charrepl.files import encodings, text_files
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.version import __version__
from charrepl_train import command, hyperparameters
from charrepl_train.cleaning import kinds
from charrepl_train.run import distributed_run, sizes
from charrepl_train.run.run_options import RunOptions
from charrepl_train.text import corpus_files


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
    help="Named settings. auto: by the device and the length of the text; a short English one is tried for a "
    "minute from nothing and from the model that comes along.  [default: as auto, without a trial]",
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
        name = name or model_names.SHELL
        if preset in (None, "auto") and base is None and not resume:
            preset = "shell"
    directory = out.absolute() if out else paths.models_dir() / _name(name, corpus)
    paths.utf8(directory, fix="choose another place with --out")
    options = RunOptions(preset, config_file, base, epochs, minutes, seed, size)
    group = distributed_run.group(coordinator, count, process_id, distributed=distributed)
    if size and resume:
        raise click.UsageError("--size is for a new run: leave it out")
    if dry_run and (resume or group is not None):
        raise click.UsageError("--dry-run is for a new run, of one process")
    command.run(
        command.Command(
            corpus=corpus,
            directory=directory,
            options=options,
            group=group,
            shell_history=shell_history,
            encoding=encoding,
            exclude=exclude,
            clean=clean,
            resume=resume,
            dry_run=dry_run,
            device=device,
            threads=threads,
            quiet=quiet,
            as_json=as_json,
            debug=debug,
        )
    )


def _name(name: str | None, corpus: tuple[Path, ...]) -> str:
    """The model's name: as given, else made from the first file's, whatever characters that has."""
    return model_names.check_name(name or model_names.named_after(corpus_files.name(corpus[0])))
