"""The command `charrepl serve`."""

from __future__ import annotations

from pathlib import Path

import click

from charrepl.cli.exit_codes import exit_codes
from charrepl.cli.options import (
    FilePath,
    assertiveness_option,
    debug_option,
    endpoint_option,
    extra,
    host_settings,
    lines_option,
    model_option,
)
from charrepl.system.standard_streams import echo

# As `http_server.setup_texts.NAMES`, which a test compares. So --help does not wait for an import.
HOSTS = ("vim", "neovim", "vscode", "zed", "minuet", "continue", "emacs")
ADDRESS = "127.0.0.1"
PORT = 8012  # as llama.vim and llama.vscode have it


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="0 for a free one."
)
@click.option("--address", default=ADDRESS, show_default=True, help="Another loopback address.")
@click.option("--unix", type=FilePath(), metavar="PATH", help="A Unix socket instead, which needs no key.")
@assertiveness_option
@lines_option
@model_option
@endpoint_option
@click.option("--setup", type=click.Choice(HOSTS), help="Print what to paste into an editor's settings.")
@click.option("--print-key", is_flag=True, help="Print the key that clients show.")
@click.option("--new-key", is_flag=True, help="Make another key, and print it.")
@debug_option
@exit_codes
def serve(
    port: int,
    address: str,
    unix: Path | None,
    assertiveness: str | None,
    lines: int,
    model: str,
    endpoint: str | None,
    setup: str | None,
    print_key: bool,
    new_key: bool,
    debug: bool,
) -> None:
    """Show ghosts in editors: answer their plugins over HTTP, on this machine only."""
    from charrepl.http_server import access

    if print_key or new_key:
        echo(access.key(new=new_key))
    elif setup:
        from charrepl.http_server import setup_texts
        from charrepl.system import loopback

        echo(setup_texts.text(setup, url=loopback.url(address, port), key=access.key()), end="")
    else:
        _run(port, address, unix, model=model, assertiveness=assertiveness, lines=lines, endpoint=endpoint)


def _run(
    port: int,
    address: str,
    unix: Path | None,
    *,
    model: str,
    assertiveness: str | None,
    lines: int,
    endpoint: str | None,
) -> None:
    import asyncio

    with extra("serve", "uvicorn", "starlette"):
        from charrepl.http_server import server
    from charrepl.http_server import access
    from charrepl.http_server.endpoints import Defaults
    from charrepl.settings import model_names
    from charrepl.system import loopback

    chosen = host_settings(model, assertiveness)
    defaults = Defaults(
        model=chosen.model,
        assertiveness=chosen.assertiveness,
        lines=lines,
        temperature=chosen.temperature,
        adapt=chosen.adapt,
    )
    if defaults.model and not endpoint:
        model_names.find(defaults.model)
    key = None if unix else access.key()
    with server.listening_at(unix) if unix else server.listening(address, port) as opened:
        if unix:
            said = f"Ghosts at {unix}; Ctrl-C ends it"
        else:
            port = opened.getsockname()[1]
            elsewhere = f" --address {address}" * (address != ADDRESS) + f" --port {port}" * (port != PORT)
            said = (
                f"Ghosts at {loopback.url(address, port)}; "
                f"charrepl serve{elsewhere} --setup vim says what to paste, Ctrl-C ends it"
            )

        def ready() -> None:
            echo(said)

        asyncio.run(server.serve(opened, key=key, defaults=defaults, endpoint=endpoint, ready=ready))
