"""What every command does alike: one-line errors, exit codes, `--debug`."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click

from charrepl.errors import CharreplError, reason

P = ParamSpec("P")
R = TypeVar("R")


def exit_codes(command: Callable[P, R]) -> Callable[P, R]:
    """`command`, ending with 1 and one line on standard error for a failure, and 130 for Ctrl-C.

    With `--debug` a failure shows its traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        _open_closed()
        try:
            return command(*args, **kwargs)
        except (KeyboardInterrupt, EOFError):
            sys.exit(130)
        except BrokenPipeError:
            # The reader left, as in `| head`: nothing to say, and nobody to say it to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except CharreplError as error:
            if kwargs.get("debug"):
                raise
            _complain(str(error))
        except (OSError, MemoryError) as error:
            if kwargs.get("debug"):
                raise
            _complain(f"{reason(error)}{_file(error)}; --debug shows where")

    return run


def _open_closed() -> None:
    """Has every standard stream that is closed, as by `>&-`, be as /dev/null: nobody reads.

    Else a file of ours would be opened in its place, and a library's warning be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, so this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None and number:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (kept to the end)
            setattr(sys, name, stream)


def _complain(message: str) -> NoReturn:
    with contextlib.suppress(OSError):  # standard error may lead to a full disk, or to nobody
        click.echo(f"Error: {message}", err=True)
    sys.exit(1)


def _file(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f": {name}" if name else ""
