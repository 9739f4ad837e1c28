"""The command `charrepl lsp`."""

from __future__ import annotations

import click

from charrepl.cli.exit_codes import exit_codes
from charrepl.cli.options import (
    assertiveness_option,
    debug_option,
    endpoint_option,
    extra,
    host_settings,
    lines_option,
    model_option,
)
from charrepl.system.standard_streams import echo


@click.command()
@assertiveness_option
@lines_option
@model_option
@endpoint_option
@click.option(
    "--setup", type=click.Choice(["neovim", "vscode"]), help="Print what to put into an editor's settings."
)
@click.option("--stdio", is_flag=True, hidden=True, help="Accepted because clients give it; changes nothing.")
@debug_option
@exit_codes
def lsp(
    assertiveness: str | None,
    lines: int,
    model: str,
    endpoint: str | None,
    setup: str | None,
    stdio: bool,
    debug: bool,
) -> None:
    """Show ghosts in editors: a language server, which they start themselves."""
    if setup:
        from charrepl.lsp import setup_texts

        echo(setup_texts.text(setup), end="")
        return
    import asyncio

    with extra("lsp", "pygls", "lsprotocol"):
        from charrepl.lsp import lazy_types

        lazy_types.import_types()
        from charrepl.lsp import standard_io
    from charrepl.lsp.settings import Effective

    chosen = host_settings(model, assertiveness)
    usual = Effective(model=chosen.model, assertiveness=chosen.assertiveness, lines=lines)
    asyncio.run(
        standard_io.serve(usual, temperature=chosen.temperature, adapt=chosen.adapt, endpoint=endpoint)
    )
