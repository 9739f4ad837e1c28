"""The commands `charrepl off` and `charrepl on`, for all hosts of ghosts."""

from __future__ import annotations

import click

from charrepl.cli.exit_codes import exit_codes
from charrepl.cli.options import debug_option
from charrepl.suggestions.hosts import HOSTS
from charrepl.system.standard_streams import echo

_host_option = click.option("--host", type=click.Choice(HOSTS), help="In this program only.")


@click.command()
@click.option("--for", "span", metavar="TIME", help="For 30m, 1h or 2d; without it, until charrepl on.")
@_host_option
@debug_option
@exit_codes
def off(span: str | None, host: str | None, debug: bool) -> None:
    """Show no ghosts in any program; a file .charrepl-off does it for the directory it is in."""
    from charrepl.suggestions import off_switch

    switch = off_switch.OffSwitch()
    switch.turn_off(host or "", for_s=None if span is None else off_switch.seconds(span))
    echo(switch.why_off(host or ""))


@click.command()
@_host_option
@debug_option
@exit_codes
def on(host: str | None, debug: bool) -> None:
    """Show ghosts again."""
    from charrepl.suggestions.off_switch import OffSwitch

    switch = OffSwitch()
    switch.turn_on(host or "")
    echo(switch.why_off(host or "") or f"ghosts are on{f' in {host}' if host else ''}")


commands = (off, on)
