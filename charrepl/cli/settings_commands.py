"""The commands about settings: `charrepl config` and `charrepl completion`."""

from __future__ import annotations

import click

from charrepl.cli.exit_codes import exit_codes
from charrepl.cli.options import (
    assertiveness_option,
    debug_option,
    given,
    json_option,
    model_option,
    plain_option,
    print_json,
    vi_option,
)
from charrepl.system.standard_streams import echo

PROGRAMS = ("charrepl", "charrepl-daemon", "charrepl-train")


@click.command()
@model_option
@vi_option
@assertiveness_option
@plain_option
@click.option("--path", "path_only", is_flag=True, help="Print only where config.toml is, or would be.")
@json_option
@debug_option
@exit_codes
def config(
    model: str,
    vi: bool,
    assertiveness: str | None,
    plain: bool,
    path_only: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Print the settings in force and where each comes from, as a config.toml."""
    from charrepl.cli import settings_listing
    from charrepl.settings import settings
    from charrepl.system import paths

    if path_only:
        echo(paths.config_file())
        return
    found = settings.effective(given(model, vi, assertiveness, plain))
    if as_json:
        print_json(settings_listing.as_json(found))
    else:
        echo(settings_listing.as_toml(found), end="")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
@exit_codes
def completion(shell: str, debug: bool) -> None:
    """Print what has SHELL complete our commands: eval "$(charrepl completion bash)" in ~/.bashrc."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    for program in PROGRAMS:
        variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
        source = complete(click.Group(), {}, program, variable)
        # Not its `source`: that runs bash, to warn of one that is too old.
        echo(source.source_template % source.source_vars())


commands = (config, completion)
