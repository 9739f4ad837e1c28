"""What every command does alike: one-line errors, exit codes, `--debug`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

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
        if sys.stdout is None:  # closed, as by `>&-`: nobody reads, as with /dev/null
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (kept to the end)
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
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)
        except (OSError, MemoryError) as error:
            if kwargs.get("debug"):
                raise
            click.echo(f"Error: {reason(error)}{_file(error)}; --debug shows where", err=True)
            sys.exit(1)

    return run


def _file(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f": {name}" if name else ""
