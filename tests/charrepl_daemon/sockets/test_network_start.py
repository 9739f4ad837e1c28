"""Listening to other machines: only with keys, guests and a port, and otherwise a reason."""

from __future__ import annotations

import os
import socket

import pytest

from charrepl_daemon.lifecycle import control
from tests.charrepl_daemon.network_machine import Machine, one_line


def no_key(here: Machine) -> None:
    pass


def no_guests(here: Machine) -> None:
    here.make_key()


def open_secret(here: Machine) -> None:
    here.make_key()
    here.allow("laptop", here.key)
    (here.config / "keys" / "secret.key").chmod(0o640)


def open_directory(here: Machine) -> None:
    no_guests(here)
    (here.config / "keys").chmod(0o755)


def truncated_secret(here: Machine) -> None:
    no_guests(here)
    file = here.config / "keys" / "secret.key"
    os.truncate(file, file.stat().st_size - 10)


def public_in_place_of_secret(here: Machine) -> None:
    no_guests(here)
    (here.config / "keys" / "secret.key").write_text(here.key + "\n")


def only_damaged_guests(here: Machine) -> None:
    no_guests(here)
    os.truncate(here.allow("laptop", here.key), 60)


@pytest.mark.parametrize("how", [(), ("--foreground",)], ids=["background", "foreground"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_key, "run charrepl-daemon keygen"),
        (no_guests, "run charrepl-daemon allow NAME KEY"),
        (open_secret, "run chmod 600"),
        (open_directory, "run chmod 700"),
        (truncated_secret, "keygen --force"),
        (public_in_place_of_secret, "keygen --force"),
        (only_damaged_guests, "run charrepl-daemon allow NAME KEY"),
    ],
)
def test_without_keys_and_guests_nothing_listens(machine, tmp_path, monkeypatch, how, spoil, says):
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(tmp_path / "run"))
    here = machine("here")
    spoil(here)
    refused = here.daemon("start", "--endpoint", "tcp://127.0.0.1:0", *how)
    assert (refused.returncode, refused.stdout) == (1, "")
    # A log line may go before, where it is the terminal that is logged to.
    assert says in one_line(refused.stderr.splitlines(keepends=True)[-1])
    assert control.running() is None


def test_a_secret_key_of_another_user_is_refused(machine):
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    here = machine("here")
    here.make_key()
    os.chown(here.config / "keys" / "secret.key", 65534, 65534)
    assert "belongs to user 65534" in one_line(here.daemon("keys").stderr)


def test_a_port_that_is_taken_is_said_in_one_line(home, machine):
    here = machine("here")
    here.allow("owner", here.make_key())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = here.daemon("start", "--endpoint", f"tcp://localhost:{taken.getsockname()[1]}")
    assert refused.returncode == 1
    assert "Address already in use" in one_line(refused.stderr)
    assert control.running() is None
