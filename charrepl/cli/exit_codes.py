"""What all commands have in common: one-line errors, exit codes, `--debug`."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from charrepl.errors import CharreplError, reason
from charrepl.system import interpreter, standard_streams
from charrepl.terminal.word_wrap import can_draw, terminal_size, wrapped
from charrepl.text.control_characters import printable

P = ParamSpec("P")
R = TypeVar("R")


class _Program(click.Command):
    """A program, with streams that take whatever it writes."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Runs it."""
        interpreter.heed_ctrl_c()
        output = standard_streams.prepare()
        try:
            try:
                return self._shown(*args, **extra)
            finally:
                sys.stdout.flush()  # a full disk is met here, where it can still be reported
                if output.note():
                    say(output.note())
        except OSError as error:
            if not standard_streams.is_output(error):
                raise
            standard_streams.give_up_output()
            if isinstance(error, BrokenPipeError):
                sys.exit(1)  # the reader left, as in `| head`: nothing to say, and nobody to say it to
            _complain(f"cannot write to standard output: {reason(error)}")

    def _shown(self, *args: Any, **extra: Any) -> Any:
        """Runs it. click's messages about a command line are shown like all others."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.Abort:
            sys.exit(130)
        except click.ClickException as error:
            said = io.StringIO()
            error.show(said)
            say(said.getvalue().removesuffix("\n"))
            sys.exit(error.exit_code)
        sys.exit(code)


class Command(_Program):
    """A program that is one command."""


class Group(_Program, click.Group):
    """A program of several commands."""


def exit_codes(command: Callable[P, R]) -> Callable[P, R]:
    """`command`, ending with 1 and one line on standard error for a failure, and 130 for Ctrl-C.

    With `--debug` a failure shows its traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (KeyboardInterrupt, EOFError):
            sys.exit(130)
        except CharreplError as error:
            if kwargs.get("debug"):
                raise
            _complain(str(error))
        except (OSError, MemoryError) as error:
            if kwargs.get("debug") or (isinstance(error, OSError) and standard_streams.is_output(error)):
                raise
            _complain(f"{reason(error)}{_file(error)}; --debug shows where")

    return run


def _complain(message: str) -> NoReturn:
    say(f"Error: {message}")
    sys.exit(1)


def say(message: str) -> None:
    """Prints a message on standard error, wrapped on a terminal."""
    with contextlib.suppress(OSError):  # it may lead to a full disk, or to nobody
        if can_draw(sys.stderr, os.environ):
            message = wrapped(printable(message), terminal_size(sys.stderr.fileno())[0])
        standard_streams.echo(message, err=True)


def _file(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f": {name}" if name else ""
