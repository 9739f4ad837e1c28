"""`--preset auto` on a short English text: tried from nothing and from the model that comes along."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl.settings import model_names
from charrepl_train.hyperparameters import Config
from charrepl_train.model_directory import training_lock
from charrepl_train.run import device_failures, new_run
from charrepl_train.run.interruption import Interruption
from charrepl_train.run.run_options import PreparedRun, RunOptions, with_config_file
from charrepl_train.text import split

if TYPE_CHECKING:
    from charrepl_train.model_directory.records import StepReport
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text.corpus import Text

_TRIAL_S = 60.0  # of steps, each
_MOST = 1 / 6  # of --minutes, each


def wanted(options: RunOptions, text: Text) -> bool:
    """Whether there are two ways, and something to choose between them by."""
    from charrepl_train.run import finetune

    if options.preset != "auto" or options.base is not None or options.size is not None:
        return False
    plain = Config()
    config = with_config_file(plain, options)
    _, dev, _ = split.lengths(text.characters, config.training)
    return config.model == plain.model and dev > 0 and bool(finetune.suggested(text))


def better(
    directory: Path,
    files: tuple[Path, ...],
    text: Text,
    options: RunOptions,
    *,
    started: float,
    clock: Callable[[], float],
    stopped: Interruption,
    begins: Callable[[str], None],
) -> PreparedRun:
    """The run in a directory that has the lower dev loss after about a minute, to go on with.

    started: when the command began, by the clock. begins: is told what is tried. Raises EndedError if it was
    stopped meanwhile, which leaves nothing, and what `new_run.prepare` and `Trainer.train` raise.
    """
    from charrepl.terminal.progress import duration  # --help does without

    seconds = _TRIAL_S if options.minutes is None else min(_TRIAL_S, _MOST * 60 * options.minutes)
    place = directory / training_lock.TRIAL
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    found: list[tuple[float, PreparedRun]] = []
    try:
        for base in (None, model_names.BUNDLED):
            begins(f"Trying it from {base or 'nothing'}")
            run = new_run.prepare(place / (base or "nothing"), files, text, options._replace(base=base))
            # The minutes of the first are also for the trial of the second, which is still to come.
            since = started if base else started - seconds
            with device_failures.in_one_line(run.trainer.config, run.trainer.directory):
                _train(run.trainer, seconds, started=since, clock=clock, interrupted=stopped)
                stopped.check()
                found.append((run.trainer.dev()[1], run))
        (nothing, run), (based, other) = found
        # Of the first, without the remark that it could start from the other model.
        run = other if based < nothing else run._replace(remarks=[])
        _move(run.trainer, directory)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    told = (
        f"After {duration(seconds)} each, dev loss is {nothing:.3f} from nothing and {based:.3f} from "
        f"{model_names.BUNDLED}: it goes on from {model_names.BUNDLED if based < nothing else 'nothing'}."
    )
    return run._replace(remarks=[told, *run.remarks])


def _train(
    trainer: Trainer,
    seconds: float,
    *,
    started: float,
    clock: Callable[[], float],
    interrupted: Callable[[], bool],
) -> None:
    """Takes steps for so long after the first, which is compiled before."""
    first: list[float] = []

    def tick(report: StepReport) -> None:
        first.append(clock())

    def over() -> bool:
        return interrupted() or (bool(first) and clock() - first[0] >= seconds)

    for _ in trainer.train(started=started, interrupted=over, tick=tick, clock=clock):
        pass


def _move(trainer: Trainer, directory: Path) -> None:
    """Makes a trial the run of a directory."""
    # A run has begun where there is a run.json: that comes last.
    for path in sorted(trainer.directory.iterdir(), key=lambda path: path.name == "run.json"):
        path.replace(directory / path.name)
    trainer.files.directory = directory
