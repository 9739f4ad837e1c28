"""`charrepl learn`: the model of shells' histories is trained again in the background, if you ask for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from charrepl.errors import CharreplError, reason
from charrepl.files.file_lock import try_lock
from charrepl.settings import model_names
from charrepl.shell_history import LEAST_COMMANDS
from charrepl.suggestions.state_file import StateFile
from charrepl.system import interpreter, paths

_ADDED = 0.1  # of what was learnt: enough to learn again
_OPTIONS = ("--shell-history", "--quiet")
_LOOK_S = 86_400.0  # a new shell looks once a day


class Learning(msgspec.Struct):
    """What `learn.json` says."""

    on: bool = False
    looked_at: float = 0.0  # seconds since 1970
    failure: str = ""  # why the last training failed, in one line


def state() -> StateFile[Learning]:
    """Whether learning is on, and how it went."""
    return StateFile(paths.data_dir() / "learn.json", Learning, empty=Learning)


def directory() -> Path:
    """Where the model is, or will be."""
    return paths.models_dir() / model_names.SHELL


def switch(on: bool) -> None:
    """Turns learning on or off. Raises CharreplError if that cannot be kept."""

    def edit(learning: Learning) -> None:
        learning.on = on

    _change(edit)


def begin_if_due() -> None:
    """Looks for new commands in the background, if learning is on and nobody has looked today."""
    learning = state().read()
    if learning.on and time.time() - learning.looked_at > _LOOK_S:
        begin()


def begin() -> None:
    """Starts a process that learns, if enough was added, and outlives this one."""
    with contextlib.suppress(OSError):  # a shell starts without it
        subprocess.Popen(
            interpreter.command("charrepl", "learn", "--in-background"),
            env=interpreter.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def added() -> tuple[int, int]:
    """How many commands the histories have, and how many of them the model has not learnt.

    Raises CharreplError if a history cannot be read.
    """
    # Each new shell imports this module, and has no time for the rules.
    from charrepl.shell_history import history_files
    from charrepl.shell_history.secret_rules import without_secrets

    learnt = Counter[str]()  # by line: what was kept does not say where a command of several ends
    for text in sorted((directory() / model_names.SHELL_HISTORY).glob("*.txt")):
        learnt.update(text.read_text(encoding="utf-8").split("\n"))
    commands = new = 0
    for history in history_files.usual_places(os.environ, Path.home()):
        for command in without_secrets(history_files.read(history))[0]:
            lines = Counter(command.text.split("\n"))
            new += any(learnt[line] < times for line, times in lines.items())
            learnt.subtract(lines)
            commands += 1
    return commands, new


def is_enough(commands: int, new: int) -> bool:
    """Whether there is enough to learn, or to learn again."""
    return commands >= LEAST_COMMANDS and new >= _ADDED * commands


def learn() -> None:
    """Trains the model anew if enough was added, and puts it in the place of the old one.

    Nothing is done if another process learns. Raises CharreplError if training fails.
    """
    with _alone() as alone:
        if not alone:
            return
        failure = ""
        try:
            if is_enough(*added()):
                _train()
        except CharreplError as error:
            failure = str(error)
            raise
        finally:

            def edit(learning: Learning) -> None:
                learning.looked_at, learning.failure = time.time(), failure

            _change(edit)


def _train() -> None:
    from charrepl.client import model_reload  # a new shell, which imports this module, has no time for it

    new, old = (paths.models_dir() / f".{model_names.SHELL}-{which}" for which in ("new", "old"))
    # What one left that was ended: between its two renames, the old model is the only one.
    if old.exists() and not directory().exists():
        old.rename(directory())
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    done = subprocess.run(
        interpreter.command("charrepl_train", *_OPTIONS, "--out", str(new)),
        env=interpreter.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it was ended"]
        raise CharreplError(f"training failed: {said[-1].removeprefix('Error: ')}")
    try:
        with contextlib.suppress(FileNotFoundError):
            directory().rename(old)
        new.rename(directory())
    except OSError as error:
        raise CharreplError(f"the new model could not be put in its place: {reason(error)}") from error
    shutil.rmtree(old, ignore_errors=True)
    model_reload.reload(directory())


@contextlib.contextmanager
def _alone() -> Iterator[bool]:
    """Whether this process is the only one that learns, until the block ends."""
    paths.data_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(paths.data_dir() / "learn.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield try_lock(lock)
    finally:
        os.close(lock)


def _change(edit: Callable[[Learning], None]) -> None:
    try:
        state().change(edit)
    except OSError as error:
        raise CharreplError(f"cannot write {state().path}: {reason(error)}") from None
