"""charrepl-daemon: start it, stop it, see its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from charrepl.cli.exit_codes import Group, exit_codes
from charrepl.cli.options import (
    AMOUNT,
    FloatRange,
    complete_model,
    debug_option,
    endpoint_option,
    extra,
    json_option,
    print_json,
)
from charrepl.cli.serve_command import PORT
from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl.system.standard_streams import echo
from charrepl.version import __version__
from charrepl_daemon.cli import key_commands

if TYPE_CHECKING:
    from charrepl_daemon.process.status_file import RunningDaemon

_IDLE_MINUTES = 30  # after so long without use, a daemon that a client started ends


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="charrepl-daemon")
def main() -> None:
    """Keep the model warm, so that every key is answered at once.

    charrepl starts a daemon by itself where there is none; one started here stays until stopped.
    """


for _command in key_commands.commands:
    main.add_command(_command)


def _serving(command: Any) -> Any:
    """The options that `start` and `restart` share."""
    for option in (
        click.option("--model", metavar="NAME|DIR", default="", shell_complete=complete_model,
                     help="The model to have ready."),
        click.option("--idle-minutes", type=AMOUNT, help="End after this long without use."),
        click.option("--cache-mb", type=click.IntRange(4, 65_536), default=256, show_default=True,
                     help="Memory for carries, for each model."),
        click.option("--max-models", type=click.IntRange(1, 64), default=4, show_default=True,
                     help="Models kept in memory."),
        click.option("--endpoint", metavar="tcp://HOST:PORT", help="Listen to other machines too."),
        click.option("--metrics-port", metavar="PORT",
                     help="Answer Prometheus at http://127.0.0.1:PORT/metrics; 0 chooses one."),
        click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto",
                     show_default=True, help="Compute on this; auto: a GPU if there is one."),
        click.option("--precision", type=click.Choice(["auto", "f32", "bf16", "int8"]), default="auto",
                     show_default=True, help="Number format; auto: the smallest that costs almost nothing."),
    ):  # fmt: skip
        command = option(command)
    return command


def _absolute(serving: dict[str, Any]) -> dict[str, Any]:
    """The same options, with absolute paths, for a process in another directory."""
    from charrepl.settings import model_names

    return {**serving, "model": model_names.absolute(serving["model"])}


def _arguments(serving: dict[str, Any]) -> list[str]:
    """The same options, as `_serving` gave them, for another process."""
    if serving["metrics_port"] is not None:
        from charrepl_daemon.metrics import http_endpoint  # asyncio: only if it is needed

        http_endpoint.parse(serving["metrics_port"])
    from charrepl_daemon.lifecycle import control

    return control.as_arguments(_absolute(serving))


_automatic_option = click.option("--automatic", is_flag=True, hidden=True)  # a client starts it by itself


def _given(serving: dict[str, Any]) -> set[str]:
    """The names of the options that the user gave."""
    source = click.get_current_context().get_parameter_source
    return {name for name in serving if source(name) is not ParameterSource.DEFAULT}


def _chosen(serving: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The earlier daemon's options, with the given ones replaced."""
    kept = before.keys() & serving.keys() - _given(serving)
    return {**serving, **{name: before[name] for name in kept}}


def _for_a_client(serving: dict[str, Any]) -> dict[str, Any]:
    """The options of a daemon that a client starts by itself: those of the daemon that it replaces.

    A model that no longer exists is left out. Otherwise nobody at a prompt would get a daemon.
    """
    from charrepl.settings import model_names
    from charrepl_daemon.lifecycle import control

    chosen = _chosen(serving, control.options_before() or {"idle_minutes": _IDLE_MINUTES})
    try:
        model_names.find(chosen["model"])
    except CharreplError:
        return {**chosen, "model": ""}
    return chosen


def _check(serving: dict[str, Any]) -> None:
    """Returns if a daemon can be started with these options. Raises CharreplError if not."""
    from charrepl.settings import model_names

    model_names.find(serving["model"])
    if serving["endpoint"]:
        from charrepl_daemon.sockets.network_guests import Network  # zmq: only if it is needed

        Network(serving["endpoint"])
    if serving["metrics_port"] is not None:
        from charrepl_daemon.lifecycle import control
        from charrepl_daemon.metrics import http_endpoint

        http_endpoint.check(serving["metrics_port"], own=control.metrics_url())


@main.command()
@_serving
@click.option("--foreground", is_flag=True, help="Stay in this terminal, and log to it.")
@click.option("--ready-fd", type=int, hidden=True)
@_automatic_option
@debug_option
@exit_codes
def start(foreground: bool, ready_fd: int | None, automatic: bool, debug: bool, **serving: Any) -> None:
    """Start the daemon, and wait until it is ready."""
    from charrepl_daemon.lifecycle import control

    if automatic:
        serving = _for_a_client(serving)
    if foreground:
        from charrepl_daemon.lifecycle.foreground import run_daemon

        run_daemon(ready_fd=ready_fd, debug=debug, **_absolute(serving))
    state, daemon = control.start(_arguments(serving))
    _say("Ready" if state == "started" else "Already running", daemon)
    _tell(serving)


def _say(what: str, daemon: RunningDaemon) -> None:
    pid = f", pid {daemon.pid}" if daemon.pid else ""
    echo(f"{what}{pid}.")


def _tell(serving: dict[str, Any]) -> None:
    """Prints how others reach the daemon, if that was asked for. Raises CharreplError if they cannot."""
    endpoint, metrics_port = serving["endpoint"], serving["metrics_port"]
    if not endpoint and metrics_port is None:
        return
    from charrepl_daemon.lifecycle import control

    found = control.status()
    if endpoint:
        network = found.get("network")
        if network is None or network["asked"] != endpoint:
            raise CharreplError(
                f"the daemon does not listen on {endpoint}: charrepl-daemon restart takes these options"
            )
        echo(key_commands.listening(network["endpoint"]))
    if metrics_port is not None:
        url = found.get("metrics_url")
        if url is None:
            raise CharreplError("the daemon serves no metrics: charrepl-daemon restart takes these options")
        echo(f"Metrics at {url}.")


@main.command()
@endpoint_option
@debug_option
@exit_codes
def stop(endpoint: str | None, debug: bool) -> None:
    """Stop the daemon, after the requests in flight."""
    from charrepl_daemon.lifecycle import control

    if endpoint:
        control.ask_to_stop(endpoint)
        echo(f"Stopping, at {endpoint}.")
        return
    daemon = control.stop()
    if daemon is None:
        echo("No daemon was running.")
    else:
        _say("Stopped", daemon)


@main.command()
@_serving
@click.option("--force", is_flag=True, help="Restart even while somebody types.")
@click.option("--if-older", is_flag=True, hidden=True)
@_automatic_option
@debug_option
@exit_codes
def restart(force: bool, if_older: bool, automatic: bool, debug: bool, **serving: Any) -> None:
    """Stop the daemon and start a new one, with the options that it had.

    Options given here replace its own; after stop, start begins with none. Not while somebody types: every
    prompt would wait for the new one.
    """
    from charrepl_daemon.lifecycle import control, systemd_service

    if if_older and not control.older_runs():
        state, daemon = control.start(_arguments(_for_a_client(serving) if automatic else serving))
        _say("Ready" if state == "started" else "Already running", daemon)
        return
    if not force and not if_older:
        control.check_restart()
    if unit := control.unit():
        if _given(serving):
            raise CharreplError(
                f"systemd runs the daemon, with the options in {unit}: "
                "change them with charrepl-daemon install-service, and restart then"
            )
        systemd_service.control("restart", unit)
        echo(f"Ready, as {unit}.")
        return
    chosen = _for_a_client(serving) if automatic else _chosen(serving, control.options_before())
    arguments = _arguments(chosen)
    _check(chosen)  # first, because the old daemon is better than none
    daemon = control.restart(arguments)
    _say("Ready", daemon)
    _tell(chosen)


@main.command()
@endpoint_option
@json_option
@debug_option
@exit_codes
def status(endpoint: str | None, as_json: bool, debug: bool) -> None:
    """Show how the daemon is. Exits with 1 if none is running."""
    from charrepl.suggestions.keys_saved import KeysSaved
    from charrepl_daemon.lifecycle import control
    from charrepl_daemon.metrics import status_report

    found = {**control.status(endpoint), "keys_saved": KeysSaved().saved_by_host()}
    if as_json:
        print_json(found, indent=2)
        return
    for line in status_report.lines(found):
        echo(line)


@main.command()
@click.option(
    "--interval",
    metavar="SECONDS",
    type=FloatRange(0.1, 86_400),
    default=1.0,
    show_default=True,
    help="Time between two updates.",
)
@endpoint_option
@debug_option
@exit_codes
def top(interval: float, endpoint: str | None, debug: bool) -> None:
    """Show how the daemon is, live.

    q quits. Where there is no terminal, a line is printed at each look.
    """
    from charrepl_daemon.metrics import top

    top.run(interval, endpoint)


@main.command()
@_serving
@click.option(
    "--serve",
    type=click.IntRange(1, 65_535),
    is_flag=False,
    flag_value=PORT,
    metavar="[PORT]",
    help=f"Run charrepl serve beside it, for editors; {PORT} without a PORT.",
)
@click.option("--print", "print_only", is_flag=True, help="Print the units, and install nothing.")
@click.option("--force", is_flag=True, help="Replace a unit of that name that is not ours.")
@debug_option
@exit_codes
def install_service(serve: int | None, print_only: bool, force: bool, debug: bool, **serving: Any) -> None:
    """Make systemd run the daemon.

    It is started with your session, and again if it fails.
    """
    from charrepl_daemon.lifecycle import systemd_service

    units = {systemd_service.NAME: systemd_service.unit(_arguments(serving))}
    if serve is not None:
        with extra("serve", "uvicorn", "starlette"):
            import uvicorn  # noqa: F401  (a service that cannot start is not installed)
        units[systemd_service.SERVE] = systemd_service.serve_unit(serve)
    if print_only:
        echo("\n".join(units.values()), end="")
        return
    paths = [systemd_service.install(unit, name, force=force) for name, unit in units.items()]
    them = "it" if len(paths) == 1 else "them"
    echo(f"Wrote {' and '.join(map(str, paths))}. To start {them} now and at each login:")
    echo("  systemctl --user daemon-reload")
    echo(f"  systemctl --user enable --now {' '.join(units)}")


@main.command()
@click.argument("model", default="", shell_complete=complete_model)
@endpoint_option
@debug_option
@exit_codes
def reload(model: str, endpoint: str | None, debug: bool) -> None:
    """Load MODEL anew from disk; the old one serves until the new one is ready."""
    from charrepl.client import Client
    from charrepl.settings import model_names
    from charrepl.wire import protocol

    with Client(endpoint=endpoint, autostart=False) as client:
        client.ask(protocol.Reload(seq=0, model=model_names.absolute(model)))
    echo("Reloaded.")


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
    echo("".join(text.splitlines(keepends=True)[-lines:]), end="")
