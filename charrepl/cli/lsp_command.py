"""The command `charrepl lsp`."""

from __future__ import annotations

import click

from charrepl.cli.exit_codes import exit_codes
from charrepl.cli.options import (
    assertiveness_option,
    debug_option,
    endpoint_option,
    given,
    model_option,
)
from charrepl.errors import CharreplError
from charrepl.system.standard_streams import echo


@click.command()
@assertiveness_option
@click.option(
    "--lines", type=click.IntRange(1, 40), default=1, show_default=True, help="At most, in a ghost."
)
@model_option
@endpoint_option
@click.option("--setup", type=click.Choice(["neovim"]), help="Print what to put into an editor's settings.")
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

    try:
        from charrepl.lsp import standard_io
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("pygls", "lsprotocol"):
            raise
        raise CharreplError(
            f"{missing} is not installed: charrepl lsp needs pip install 'charrepl[lsp]'"
        ) from None
    from charrepl.lsp.settings import Effective
    from charrepl.settings import model_names
    from charrepl.settings.settings import effective

    chosen = effective(given(model, False, assertiveness, False)).settings
    usual = Effective(
        model=model_names.absolute(chosen.model), assertiveness=chosen.assertiveness, lines=lines
    )
    asyncio.run(
        standard_io.serve(usual, temperature=chosen.temperature, adapt=chosen.adapt, endpoint=endpoint)
    )
