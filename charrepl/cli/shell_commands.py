"""The commands `charrepl shell` and `charrepl pipe`: ghosts in shells and scripts."""

from __future__ import annotations

import re

import click

from charrepl.cli.exit_codes import exit_codes, say
from charrepl.cli.options import (
    assertiveness_option,
    debug_option,
    endpoint_option,
    host_settings,
    lines_option,
    model_option,
)
from charrepl.errors import CharreplError
from charrepl.shell_history import LEAST_COMMANDS
from charrepl.shells.script import KEYS, script
from charrepl.suggestions.hosts import HOSTS
from charrepl.system import paths
from charrepl.system.standard_streams import echo


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    found = re.fullmatch(r"(\d{1,6})(ms|s)", value, re.ASCII)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a time: give 50ms or 1s.", ctx, param)
    return int(found[1]) / (1 if found[2] == "s" else 1000)


@click.command()
@click.option(
    "--within",
    "within_s",
    metavar="TIME",
    callback=_seconds,
    default="50ms",
    show_default=True,
    help="How long to wait before an empty answer.",
)
@click.option(
    "--host", type=click.Choice(HOSTS), help="The program that asks; charrepl off --host can name it."
)
@lines_option
@model_option
@assertiveness_option
@endpoint_option
@debug_option
@exit_codes
def pipe(
    within_s: float,
    host: str | None,
    lines: int,
    model: str,
    assertiveness: str | None,
    endpoint: str | None,
    debug: bool,
) -> None:
    """Answer texts on standard input with ghosts on standard output, each ended by NUL, for a coprocess."""
    import asyncio
    import sys

    from charrepl.line_protocol import pipe
    from charrepl.line_protocol.settings import LineSettings

    chosen = host_settings(model, assertiveness)
    wanted = LineSettings(
        host=host or "",
        document="pipe",
        model=chosen.model,
        assertiveness=chosen.assertiveness,
        lines=lines,
        encoding=sys.stdin.encoding if sys.stdin else "utf-8",
    )
    asyncio.run(pipe.run(wanted, endpoint=endpoint, within_s=within_s))


@click.command()
@click.argument("name", metavar="zsh|bash|fish", type=click.Choice(tuple(KEYS)))
@click.option(
    "--key", metavar="KEY", default="", help="A key other than Alt-;, written as the shell writes it."
)
@model_option
@assertiveness_option
@debug_option
@exit_codes
def shell(name: str, key: str, model: str, assertiveness: str | None, debug: bool) -> None:
    """Print what brings ghosts to a shell, for a line in its start-up file: eval "$(charrepl shell zsh)"."""
    from charrepl.settings import model_names
    from charrepl.shells import learning

    if key and not KEYS[name]:
        raise click.UsageError(f"{name} shows ghosts by itself, and its own keys take them: leave out --key.")
    if not model and model_names.is_usable(paths.models_dir() / model_names.SHELL):
        model = model_names.SHELL
    chosen = host_settings(model, assertiveness)
    learning.begin_if_due()
    echo(script(name, model=chosen.model, assertiveness=chosen.assertiveness, key=key), end="")


@click.command()
@click.option("--off", is_flag=True, help="Learn no more by itself; the model stays.")
@click.option("--in-background", is_flag=True, hidden=True)
@debug_option
@exit_codes
def learn(off: bool, in_background: bool, debug: bool) -> None:
    """Train the model of your shells' commands in the background, now and when there are enough new ones."""
    import os

    from charrepl.shells import learning

    if in_background:
        os.nice(10)
        learning.learn()
        return
    if off:
        learning.switch(False)
        echo("Nothing is learnt by itself any more.")
        return
    commands, new = learning.added()
    if commands < LEAST_COMMANDS:
        raise CharreplError(
            f"there are {commands} commands, too few to learn from: come back when there are {LEAST_COMMANDS}"
        )
    if failure := learning.state().read().failure:
        say(f"Last time, {failure}")
    learning.switch(True)
    again = (
        "A new shell looks for more once a day, and learns when a tenth is new, until charrepl learn --off."
    )
    if learning.is_enough(commands, new):
        learning.begin()
        echo(f"Learning {commands:,} commands in the background. {again}")
    else:
        echo(f"Of {commands:,} commands, {new:,} are new: too few to learn again. {again}")


commands = (pipe, shell, learn)
