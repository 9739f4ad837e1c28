"""Who was let in through the network: what they may do, and for how long.

Real daemons, CURVE handshakes and key files.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import time
from collections.abc import Callable

import pytest

from charrepl.client import Client
from charrepl.errors import CharreplError
from charrepl.wire import protocol
from tests.charrepl_daemon.network_daemon import said
from tests.charrepl_daemon.network_machine import one_line
from tests.waiting import DEADLINE_S


def test_what_each_command_prints_leads_to_a_ghost(site, machine):
    laptop = machine("laptop")

    def next_command(said: str, word: str) -> list[str]:
        (line,) = [line for line in said.splitlines() if line.startswith(f"    charrepl-daemon {word} ")]
        port = site.endpoint.rpartition(":")[2]
        return line.replace(f"{socket.gethostname()}:7878", f"127.0.0.1:{port}").split()[1:]

    shown = site.server.daemon("allow", "owner", site.server.key, "--admin").stdout
    trusted = laptop.daemon(*next_command(shown, "trust"))
    assert trusted.returncode == 0
    refused = laptop.charrepl("complete", "every cup", "--endpoint", site.endpoint)
    assert refused.returncode == 1
    assert f"charrepl-daemon allow NAME {laptop.key}" in one_line(refused.stderr)
    word, _, key = next_command(trusted.stdout, "allow")
    assert site.server.daemon(word, "laptop", key).returncode == 0
    try:
        done = laptop.charrepl(
            "complete", "every cup is wa", "--greedy", "--chars", "4", "--endpoint", site.endpoint
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            done.stdout
            == site.server.charrepl("complete", "every cup is wa", "--greedy", "--chars", "4").stdout
        )
    finally:
        assert site.server.daemon("revoke", "laptop").returncode == 0


def test_a_guest_completes_samples_scores_and_lists(site, guest):
    text = "every cup is warm, good master"
    with Client() as local:  # which needs no key
        expected = local.complete(text)
        scores = list(local.score(text))
    with guest.here(), Client(endpoint=site.endpoint) as client:
        assert client.complete(text) == expected
        elsewhere = protocol.Score(
            seq=0, text=text, data_dir="/of/the/guest's"
        )  # which are nobody's business
        assert isinstance(client.ask(elsewhere), protocol.Scores)
        assert list(client.score(text)) == scores
        assert len("".join(client.sample("COOK:\n", max_chars=2000))) == 2000
        listed = client.models()
        assert {model.name for model in listed.models} == {"kettle", "shakespeare"}
        assert {model.path for model in listed.models} == {""}
    assert "* kettle" in guest.charrepl("models", "--endpoint", site.endpoint).stdout
    assert json.loads(guest.charrepl("score", "--json", __file__, "--endpoint", site.endpoint).stdout)


def test_a_guest_may_not_reload_or_stop_or_name_a_directory(site, guest, shared_home):
    requests = [
        protocol.Reload(seq=0),
        protocol.Shutdown(seq=0),
        protocol.Complete(seq=0, session="s", text="x", model=str(shared_home / "models" / "kettle")),
    ]
    with guest.here(), Client(endpoint=site.endpoint) as client:
        for request in requests:
            with pytest.raises(CharreplError) as refused:
                client.ask(request)
            assert refused.value.code == "forbidden"
        assert client.complete("every").text
    for command in ("reload", "stop"):
        refused = guest.daemon(command, "--endpoint", site.endpoint)
        assert refused.returncode == 1
        assert "--admin" in one_line(refused.stderr)


def test_an_admin_may_reload_but_not_name_a_directory(site, admin, shared_home):
    assert admin.daemon("reload", "kettle", "--endpoint", site.endpoint).stdout == "Reloaded.\n"
    path = str(shared_home / "models" / "kettle")
    refused = admin.daemon("reload", path, "--endpoint", site.endpoint)
    assert "on the daemon's own machine only" in one_line(refused.stderr)


def test_status_says_how_many_may_connect_and_not_who(site, admin, guest):
    shown = admin.daemon("status", "--endpoint", site.endpoint).stdout
    assert f"listening on {site.endpoint}: 2 allowed" in shown
    shown = guest.daemon("status", "--json", "--endpoint", site.endpoint).stdout
    assert "owner" not in json.loads(shown)["network"].values()
    assert {model["path"] for model in json.loads(shown)["models"]} == {""}


def test_a_guest_cannot_name_a_model_that_its_owner_loaded_by_its_directory(site, guest, model_dir, tmp_path):
    secret = shutil.copytree(model_dir, tmp_path / "secret")
    with Client(model=str(secret)) as owner:
        assert owner.complete("every").text
    with guest.here(), Client(endpoint=site.endpoint, model="secret") as client:
        with pytest.raises(CharreplError) as refused:
            client.complete("every")
        assert refused.value.code == "no_model"


def test_a_running_daemon_is_not_taken_to_listen_where_it_does_not(site):
    again = site.server.daemon("start", "--endpoint", "tcp://127.0.0.1:1")
    assert again.returncode == 1
    assert "charrepl-daemon restart" in one_line(again.stderr)
    assert site.server.daemon("start", "--endpoint", "tcp://127.0.0.1:0").returncode == 0


def test_two_guests_may_use_the_same_session_name(site, guest, admin):
    with contextlib.ExitStack() as stack:
        clients = []
        for machine in (guest, admin):
            with machine.here():
                clients.append(stack.enter_context(Client(endpoint=site.endpoint)))
                assert clients[-1].status()
        request = protocol.Complete(seq=0, session="s", text="every cup ", stop="none", max_chars=400)
        streams = [client.stream(request) for client in clients]
        for _ in range(2):
            assert {type(next(stream)) for stream in streams} == {protocol.Ghost}
        assert {type(list(stream)[-1]) for stream in streams} == {protocol.Ghost}


def refused_at_last(ask: Callable[[], object]) -> CharreplError:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            ask()
        except CharreplError as error:
            return error
    raise AssertionError("never refused")


def test_a_key_taken_off_the_list_is_cut_off_where_it_is(site, guest):
    with guest.here(), Client(endpoint=site.endpoint) as client:
        passage = client.sample("COOK:\n", max_chars=1_000_000)
        next(passage)
        (site.server.config / "keys" / "allowed" / "guest.key").unlink()
        refused = refused_at_last(lambda: next(passage))
        assert (refused.code, "no longer allowed" in str(refused)) == ("forbidden", True)
        with pytest.raises(CharreplError, match="no longer allowed"):
            client.status()
    assert f"allow NAME {guest.key}" in str(said(guest, site.endpoint))


def test_rights_taken_away_are_gone_on_an_open_connection(site, guest):
    site.server.allow("guest", f"{guest.key} admin")
    with guest.here(), Client(endpoint=site.endpoint) as client:
        client.ask(protocol.Reload(seq=0, model="kettle"))
        site.server.allow("guest", guest.key)
        refused = refused_at_last(lambda: client.ask(protocol.Reload(seq=0, model="kettle")))
        assert refused.code == "forbidden"
        assert client.complete("every").text
