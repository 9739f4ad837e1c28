"""A client and a daemon that mean different data directories."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from charrepl.client import AsyncClient, Client
from charrepl.errors import CharreplError
from charrepl.wire import protocol
from tests.charrepl_daemon.wire import Wire, complete, until_final

REQUESTS = {
    "complete": lambda client: client.complete("every cup"),
    "complete by name": lambda client: client.complete("every cup"),
    "sample": lambda client: list(client.sample("every cup", max_chars=2)),
    "score": lambda client: list(client.score("every cup")),
    "models": lambda client: client.models(),
    "reload": lambda client: client.ask(protocol.Reload(seq=0)),
}


@pytest.fixture
def elsewhere(shared_home, shared_daemon, tmp_path, monkeypatch) -> Path:
    """Another data directory, in force, while the daemon of the first runs."""
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=list(REQUESTS))
def test_a_daemon_that_serves_other_models_says_so_and_what_to_do(request, shared_home, elsewhere, request_):
    model = "kettle" if "by name" in request.node.name else ""
    with Client(model=model) as client, pytest.raises(CharreplError) as refused:
        request_(client)
    said = str(refused.value)
    assert refused.value.code == "data_dir"
    assert f"serves the models in {shared_home}, not those in {elsewhere}: " in said
    assert "charrepl-daemon restart" in said
    assert "CHARREPL_RUNTIME_DIR" in said


def test_a_prompts_client_is_told_as_well(elsewhere):
    async def ask() -> None:
        ready = asyncio.Event()
        client = AsyncClient(on_state=lambda state: ready.set() if state.phase == "ready" else None)
        running = asyncio.create_task(client.run())
        await asyncio.wait_for(ready.wait(), 60)
        try:
            with pytest.raises(CharreplError, match="serves the models in"):
                await client.ask(protocol.Complete(seq=0, session="s", text="every cup"))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.close()

    asyncio.run(ask())


def test_starting_a_daemon_beside_it_does_not_pass_for_a_success(shared_home, elsewhere, command):
    started = command("start")
    assert started.returncode == 1
    assert started.stdout == ""
    assert f"serves the models in {shared_home}, not those in {elsewhere}: " in started.stderr
    assert f"models in {shared_home}\n" in command("status").stdout


def test_a_model_given_by_its_directory_is_the_same_for_everybody(shared_home, elsewhere):
    with Client(model=str(shared_home / "models" / "kettle")) as client:
        assert client.complete("every cup is wa").text.startswith("rm")


def test_a_link_to_the_directory_is_the_directory(shared_home, elsewhere, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(shared_home)
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "link"))
    with Client(model="kettle") as client:
        assert client.complete("every cup is wa").text.startswith("rm")


def test_who_names_an_endpoint_means_the_models_that_are_there(shared_daemon, elsewhere):
    with Client() as client:
        endpoint = client.status()["endpoint"]
    with Client(model="kettle", endpoint=endpoint) as client:
        assert client.complete("every cup is wa").text.startswith("rm")


@pytest.mark.parametrize("meant", ["", "the same", "/nowhere", "x" * 4096, "\0", "relative"])
def test_what_a_request_says_is_compared_whatever_it_is(shared_home, shared_daemon, meant):
    with Wire() as wire:
        wire.send(
            complete(1, max_chars=2, data_dir=os.path.realpath(shared_home) if meant == "the same" else meant)
        )
        last = until_final(wire)[-1]
    assert last["type"] == ("ghost" if meant in ("", "the same") else "error")
    assert last.get("code", "data_dir") == "data_dir"
