"""charrepl-daemon: start it, stop it, see how it is."""

from __future__ import annotations

import sys
from typing import Any

import click

from charrepl import __version__, paths
from charrepl.errors import CharreplError
from charrepl.exits import exit_codes
from charrepl.options import AMOUNT
from charrepl_daemon import access

debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
endpoint_option = click.option("--endpoint", metavar="URL", help="Another daemon than your own.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="charrepl-daemon")
def main() -> None:
    """Keep the model warm, so that every key is answered at once.

    charrepl starts a daemon by itself where there is none; one started here stays until stopped.
    """


for _command in access.commands:
    main.add_command(_command)


def _serving(command: Any) -> Any:
    """The options of what is started, shared by `start` and `restart`."""
    for option in (
        click.option("--model", metavar="NAME|DIR", default="", help="The model to have ready."),
        click.option("--idle-minutes", type=AMOUNT, help="Leave after so long unused."),
        click.option("--cache-mb", type=click.IntRange(4, 65_536), default=256, show_default=True,
                     help="Memory for carries, a model."),
        click.option("--max-models", type=click.IntRange(1, 64), default=4, show_default=True,
                     help="Models kept in memory."),
        click.option("--endpoint", metavar="tcp://HOST:PORT", help="Listen to other machines too."),
        click.option("--precision", type=click.Choice(["auto", "f32", "bf16", "int8"]), default="auto",
                     show_default=True, help="Numbers to compute in; auto: as low as costs next to nothing."),
    ):  # fmt: skip
        command = option(command)
    return command


def _arguments(
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: str,
    endpoint: str | None,
) -> list[str]:
    from charrepl import models

    idle = [] if idle_minutes is None else ["--idle-minutes", str(idle_minutes)]
    return [
        *(["--model", models.absolute(model)] if model else []),
        *idle,
        *(["--endpoint", endpoint] if endpoint else []),
        "--cache-mb",
        str(cache_mb),
        "--max-models",
        str(max_models),
        "--precision",
        precision,
    ]


@main.command()
@_serving
@click.option("--foreground", is_flag=True, help="Stay in this terminal, and log to it.")
@click.option("--ready-fd", type=int, hidden=True)
@debug_option
@exit_codes
def start(
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: str,
    endpoint: str | None,
    foreground: bool,
    ready_fd: int | None,
    debug: bool,
) -> None:
    """Start the daemon, and wait until it is ready."""
    from charrepl_daemon import process

    if foreground:
        process.be(
            model=model,
            idle_minutes=idle_minutes,
            cache_mb=cache_mb,
            max_models=max_models,
            precision=precision,
            endpoint=endpoint,
            ready_fd=ready_fd,
            debug=debug,
        )
    state, daemon = process.start(_arguments(model, idle_minutes, cache_mb, max_models, precision, endpoint))
    click.echo("Ready" if state == "started" else "Already running", nl=False)
    click.echo(f", pid {daemon.pid}.")
    if endpoint:
        _tell_network(endpoint)


def _tell_network(endpoint: str) -> None:
    """Says how others reach the daemon. Raises CharreplError if they do not."""
    from charrepl_daemon import process

    network = process.status().get("network")
    if network is None or network["asked"] != endpoint:
        raise CharreplError(f"it does not listen on {endpoint}: charrepl-daemon restart takes these options")
    click.echo(access.listening(network["endpoint"]))


@main.command()
@endpoint_option
@debug_option
@exit_codes
def stop(endpoint: str | None, debug: bool) -> None:
    """Stop the daemon, after the requests in flight."""
    from charrepl_daemon import process

    if endpoint:
        process.ask_to_stop(endpoint)
        click.echo(f"Stopping, at {endpoint}.")
        return
    daemon = process.stop()
    click.echo(f"Stopped, pid {daemon.pid}." if daemon else "No daemon was running.")


@main.command()
@_serving
@debug_option
@exit_codes
def restart(
    model: str,
    idle_minutes: float | None,
    cache_mb: int,
    max_models: int,
    precision: str,
    endpoint: str | None,
    debug: bool,
) -> None:
    """Stop the daemon, if it runs, and start a new one."""
    from charrepl_daemon import process

    for _ in range(3):
        process.stop()
        state, daemon = process.start(
            _arguments(model, idle_minutes, cache_mb, max_models, precision, endpoint)
        )
        if state == "started":
            click.echo(f"Ready, pid {daemon.pid}.")
            if endpoint:
                _tell_network(endpoint)
            return
        # An open prompt missed its daemon and was faster, without these options.
    raise CharreplError("another program keeps starting the daemon: close open prompts and try again")


@main.command()
@endpoint_option
@json_option
@debug_option
@exit_codes
def status(endpoint: str | None, as_json: bool, debug: bool) -> None:
    """Show how the daemon is. Exits with 1 if none is running."""
    import msgspec

    from charrepl_daemon import process

    found = process.status(endpoint)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    click.echo(f"pid {found['pid']}, charrepl {found['version']}, {found['device']}")
    click.echo(f"up {found['uptime_s']:.0f} s, {found['requests']} requests, {found['waiting']} waiting")
    if network := found.get("network"):
        click.echo(
            f"listening on {network['endpoint']}: {network['allowed']} allowed, {network['refused']} refused"
        )
    for name, title in (("first_piece_ms", "first piece of a ghost"), ("full_ghost_ms", "whole ghost")):
        if found[name]:
            times = ", ".join(f"{key} {value} ms" for key, value in found[name].items())
            click.echo(f"{title}: {times}")
    for model in found["models"]:
        click.echo(
            f"model {model['name']} ({model['digest']}) in {model['precision']}: "
            f"{model['sessions']} sessions, {model['carries']} of {model['carry_slots']} carries"
        )


@main.command()
@click.argument("model", default="")
@endpoint_option
@debug_option
@exit_codes
def reload(model: str, endpoint: str | None, debug: bool) -> None:
    """Load MODEL anew from disk; the old one serves until the new one is ready."""
    from charrepl import models, protocol
    from charrepl.client import Client

    with Client(endpoint=endpoint, autostart=False) as client:
        client.ask(protocol.Reload(seq=0, model=models.absolute(model)))
    click.echo("Reloaded.")


@main.command()
@click.option("-n", "--lines", type=click.IntRange(1), default=50, show_default=True, help="How many lines.")
@debug_option
@exit_codes
def logs(lines: int, debug: bool) -> None:
    """Print the end of the daemon's log. It never holds what was typed."""
    try:
        text = paths.log_file().read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise CharreplError(f"there is no log yet at {paths.log_file()}: start the daemon first") from None
    sys.stdout.write("".join(text.splitlines(keepends=True)[-lines:]))
