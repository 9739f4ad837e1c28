"""Commands about keys: which machines may use this one's daemon, and which daemons this machine trusts.

    here:   charrepl-daemon keygen                            prints this machine's public key
    there:  charrepl-daemon trust tcp://HERE:7878 KEY         prints theirs
    here:   charrepl-daemon allow NAME KEY
            charrepl-daemon start --endpoint tcp://0.0.0.0:7878
    there:  charrepl --endpoint tcp://HERE:7878

Each command prints the next one, ready to paste.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from charrepl.cli.exit_codes import exit_codes, say
from charrepl.cli.options import debug_option, json_option, print_json
from charrepl.client import credentials, daemon_startup
from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl.system.standard_streams import echo

_PORT = 7878  # in the commands that are printed; any other port works

force_option = click.option("--force", is_flag=True, help="Replace the key that is there.")


def listening(endpoint: str) -> str:
    """What to print when this machine's daemon listens on an endpoint."""
    _, _, port = endpoint.rpartition(":")
    key = credentials.encoded(credentials.own().public)
    names = ", ".join(sorted(file.stem for file in credentials.allowed_files()))
    return (
        f"Listening on {endpoint} for {names or 'nobody'}. Each of them runs once:\n"
        f"    charrepl-daemon trust tcp://{socket.gethostname()}:{port} {key}"
    )


def _own_or_new() -> credentials.KeyPair:
    """The machine's own pair. It is made now if there is none."""
    try:
        return credentials.own()
    except CharreplError as error:
        if error.code != "no_key":
            raise
    return _make(replace=False)


def _make(*, replace: bool) -> credentials.KeyPair:
    pair = credentials.generate()
    paths.private_dir(paths.keys_dir())
    try:
        credentials.write_secret(credentials.secret_file(), pair, replace=replace)
    except FileExistsError:
        raise CharreplError(
            f"this machine has a key already, in {credentials.secret_file()}: charrepl-daemon keys shows its "
            "public half; --force makes another, which you must then give to everybody who has the old one"
        ) from None
    return pair


@click.command()
@click.argument("name", required=False)
@force_option
@json_option
@debug_option
@exit_codes
def keygen(name: str | None, force: bool, as_json: bool, debug: bool) -> None:
    """Make this machine's key. With NAME, make one for another machine, and allow it here."""
    if name:
        _keygen_for(name, force=force, as_json=as_json)
        return
    key = credentials.encoded(_make(replace=force).public)
    if as_json:
        print_json({"public": key, "secret_file": str(credentials.secret_file())})
        return
    echo(
        f"This machine's public key, to be given to others:\n\n    {key}\n\n"
        f"Its secret half stays in {credentials.secret_file()}.\n"
        f"{'A daemon that runs keeps the old one until charrepl-daemon restart.' if force else ''}\n"
        "To let another machine use this one's daemon, run there\n"
        f"    charrepl-daemon trust tcp://{socket.gethostname()}:{_PORT} {key}\n"
        "and then run here what that prints."
    )


def _keygen_for(name: str, *, force: bool, as_json: bool) -> None:
    here = credentials.encoded(_own_or_new().public)
    file = Path(f"{name}.key").absolute()
    allowed = credentials.allowed_file(name)
    if not force and allowed.exists():
        raise CharreplError(f"{name} is allowed already: --force replaces the key")
    pair = credentials.generate()
    try:
        credentials.write_secret(file, pair, replace=force)
    except FileExistsError:
        raise CharreplError(f"there is a {file} already: move it away, or --force replaces it") from None
    key = credentials.encoded(pair.public)
    _allow(name, key, admin=False, force=True)
    if as_json:
        print_json({"public": key, "secret_file": str(file)})
        return
    echo(
        f"{name} may connect. Move {file}\n"
        f"to that machine, as {credentials.secret_file()},\n"
        "for its user only (mode 600, the directory 700), and run there\n"
        f"    charrepl-daemon trust tcp://{socket.gethostname()}:{_PORT} {here}"
    )


@click.command()
@click.argument("name")
@click.argument("key")
@click.option("--admin", is_flag=True, help="Let it reload models and stop the daemon as well.")
@force_option
@debug_option
@exit_codes
def allow(name: str, key: str, admin: bool, force: bool, debug: bool) -> None:
    """Let whoever holds the secret half of KEY use this machine's daemon, as NAME."""
    here = credentials.encoded(_own_or_new().public)
    _allow(name, key, admin=admin, force=force)
    echo(
        f"{name} may connect{', as an admin' if admin else ''}. If the daemon does not listen yet:\n"
        f"    charrepl-daemon restart --endpoint tcp://0.0.0.0:{_PORT}\n"
        f"{name} connects by\n    charrepl --endpoint tcp://{socket.gethostname()}:{_PORT}\n"
        f"having run once\n    charrepl-daemon trust tcp://{socket.gethostname()}:{_PORT} {here}"
    )


def _allow(name: str, key: str, *, admin: bool, force: bool) -> None:
    file = credentials.allowed_file(name)
    public = credentials.decoded(key)
    if not force and file.exists() and credentials.allowed(file)[0] != public:
        raise CharreplError(f"{name} is allowed already, with another key: --force replaces it")
    paths.private_dir(paths.keys_dir())
    paths.private_dir(file.parent)
    line = f"{credentials.encoded(public)}{' admin' if admin else ''}"
    credentials.write(file, line, about=f"{name} may use this machine's daemon", replace=True)


@click.command()
@click.argument("name")
@debug_option
@exit_codes
def revoke(name: str, debug: bool) -> None:
    """Let NAME use this machine's daemon no longer; who is connected is cut off too."""
    try:
        credentials.allowed_file(name).unlink()
    except FileNotFoundError:
        raise CharreplError(f"{name} is not allowed: charrepl-daemon keys lists who is") from None
    echo(f"{name} may no longer connect.")


@click.command()
@click.argument("endpoint", metavar="tcp://HOST:PORT")
@click.argument("key")
@force_option
@debug_option
@exit_codes
def trust(endpoint: str, key: str, force: bool, debug: bool) -> None:
    """Remember the public KEY of the daemon at an endpoint, so that no other can pass for it."""
    if not daemon_startup.checked(endpoint).startswith("tcp://"):
        raise CharreplError(f"{endpoint} needs no key: only tcp:// endpoints do")
    file = credentials.trusted_file(endpoint)
    public = credentials.decoded(key)
    own = credentials.encoded(_own_or_new().public)
    if not force and file.exists() and credentials.trusted(endpoint) != public:
        raise CharreplError(
            f"another key is trusted for {endpoint}: if its owner says that it has changed, "
            f"run charrepl-daemon trust {endpoint} {key} --force"
        )
    paths.private_dir(file.parent)
    about = f"the public key of the daemon at {endpoint}"
    credentials.write(file, credentials.encoded(public), about=about, replace=True)
    name = socket.gethostname().partition(".")[0]
    echo(
        f"Trusted. To be allowed in, run this once on the daemon's machine:\n"
        f"    charrepl-daemon allow {name} {own}\n"
        f"and then, here:\n    charrepl --endpoint {endpoint}"
    )


@click.command("keys")
@json_option
@debug_option
@exit_codes
def list_keys(as_json: bool, debug: bool) -> None:
    """Show this machine's public key, whom it allows, and which daemons it trusts."""
    found: dict[str, Any] = {
        "public": credentials.encoded(credentials.own().public),
        "allowed": [],
        "trusted": [],
    }
    for file in credentials.allowed_files():
        with _complaining():
            key, admin = credentials.allowed(file)
            found["allowed"].append({"name": file.stem, "key": credentials.encoded(key), "admin": admin})
    for file in sorted(credentials.trusted_dir().glob("[!.]*.key")):
        with _complaining():
            endpoint = f"tcp://{file.stem}"
            key = credentials.trusted(endpoint)
            found["trusted"].append({"endpoint": endpoint, "key": credentials.encoded(key)})
    if as_json:
        print_json(found)
        return
    echo(f"{found['public']}  this machine")
    for guest in found["allowed"]:
        echo(f"{guest['key']}  {guest['name']} may connect{', as an admin' if guest['admin'] else ''}")
    for daemon in found["trusted"]:
        echo(f"{daemon['key']}  the daemon at {daemon['endpoint']}")


@contextlib.contextmanager
def _complaining() -> Iterator[None]:
    """Names a bad file, so that the others are still listed."""
    try:
        yield
    except CharreplError as error:
        say(f"Error: {error}")


commands = (keygen, allow, revoke, trust, list_keys)
