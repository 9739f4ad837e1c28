"""Many models: loaded when they are asked for, the least used dropped, reloaded while writers type on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.client import Client
from charrepl.client.client import Completion
from charrepl_daemon.engine.model_library import ModelLibrary
from tests.charrepl_daemon.conftest import LINES
from tests.charrepl_daemon.lifecycle.test_control import truncate_weights
from tests.charrepl_daemon.reference import MARGIN, Reference, greedy_difference
from tests.charrepl_daemon.wire import Wire, complete, finals, until_final


@pytest.fixture(scope="module")
def daemon(shared_home, model_dir, start_daemon) -> Iterator:
    """A daemon that keeps two models of four."""
    for name in ("pot", "pan", "cup"):
        shutil.copytree(model_dir, shared_home / "models" / name)
    return start_daemon("--max-models", "2", "--model", "kettle", "--cache-mb", "4")


@pytest.fixture
def wire(daemon) -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def status_of(daemon) -> dict:
    return json.loads(daemon("status", "--json").stdout)


def loaded(daemon) -> list[str]:
    """The names of the models in memory, the least recently used first."""
    return [model["name"] for model in status_of(daemon)["models"]]


def test_a_model_is_loaded_off_the_serving_thread(daemon, wire):
    assert "pan" not in loaded(daemon)
    wire.send({**complete(1, model="pan"), "session": "slow"})
    wire.send({**complete(2, model="kettle"), "session": "fast"})
    replies = until_final(wire)
    assert {reply["seq"] for reply in replies} == {2}, "kettle waited for pan"
    assert until_final(wire)[-1]["seq"] == 1
    assert "pan" in loaded(daemon)


def test_the_least_recently_used_model_makes_way_and_comes_back(daemon):
    with Client(model="kettle") as client:
        before = client.complete("every cup is wa").text
    for name in ("pot", "kettle", "cup"):
        with Client(model=name) as client:
            assert client.complete("every cup is wa").text == before
    assert loaded(daemon) == ["kettle", "cup"]
    with Client(model="pot") as client:
        assert client.complete("every cup is wa").text == before
    assert loaded(daemon) == ["cup", "pot"]


def test_a_session_goes_on_with_the_reloaded_model(daemon, wire, shared_home, trained):
    model = shared_home / "models" / "cup"
    text = "The lamp, every cup is wa"

    def ghost(name: str) -> str:
        wire.send(complete(1, text, model=name, stop="none", max_chars=30))
        return until_final(wire)[-1]["text"]

    before = ghost("cup")
    shutil.rmtree(model)
    shutil.copytree(trained.directory, model)
    assert ghost("cup") == before  # from memory, whatever lies on the disk
    assert daemon("reload", "cup").returncode == 0
    after = ghost("cup")
    assert after != before
    assert after == ghost(str(trained.directory))


def test_what_was_trained_further_is_taken_up_wherever_it_is(daemon, model_dir, tmp_path):
    model = shutil.copytree(model_dir, tmp_path / "model")
    (tmp_path / "lines.txt").write_text(LINES * 8)
    command = [sys.executable, "-m", "charrepl_train", tmp_path / "lines.txt", "--out", model, "--resume"]
    with Client(model=str(model)) as client:
        before = client.complete("every cup is wa")
        subprocess.run([*command, "--epochs", "45"], check=True, capture_output=True, timeout=180)
        after = client.complete("every cup is wa")
    assert after.log_probs != before.log_probs


def test_a_broken_reload_leaves_the_old_model_serving_and_says_why(daemon, wire, shared_home, model_dir):
    model = shared_home / "models" / "pot"
    wire.send(complete(1, model="pot"))
    before = until_final(wire)[-1]["text"]
    truncate_weights(model)
    refused = daemon("reload", "pot")
    assert refused.returncode == 1
    (told,) = status_of(daemon)["faults"]["not_loaded"]
    assert told["path"] == str(model)
    assert f"Error: {told['reason']}\n" == refused.stderr
    assert f"not loaded: {model}" in daemon("status").stdout
    wire.send(complete(2, model="pot"))
    assert until_final(wire)[-1]["text"] == before
    shutil.rmtree(model)
    shutil.copytree(model_dir, model)
    assert daemon("reload", "pot").returncode == 0
    assert status_of(daemon)["faults"]["not_loaded"] == []


def test_a_model_whose_files_are_gone_serves_while_it_is_in_memory(daemon, wire, shared_home):
    model = shared_home / "models" / "pan"
    wire.send(complete(1, model="pan"))
    before = until_final(wire)[-1]["text"]
    shutil.rmtree(model)
    wire.send(complete(2, model="pan"))
    assert until_final(wire)[-1]["text"] == before
    assert daemon("reload", "pan").returncode == 1
    wire.send(complete(3, model="pan"))
    assert until_final(wire)[-1]["text"] == before


def test_with_every_place_for_a_carry_taken_the_answers_are_still_right(daemon, wire, shared_home):
    reference = Reference(shared_home / "models" / "kettle")
    texts = [f"{n} cups, " + "every cup is warm, " * 8 for n in range(180)]  # 77 carries each
    for _ in range(2):
        for seq, text in enumerate(texts):
            wire.send({**complete(seq, text, model="kettle", stop="none", max_chars=8), "session": str(seq)})
        found = finals(wire, len(texts))
        for seq in (0, 1, 60, 179):
            written = Completion(found[seq]["text"], found[seq]["log_probs"])
            margin = greedy_difference(reference, texts[seq], written)
            assert margin is None or margin < MARGIN
    (kettle,) = (model for model in wire.status()["models"] if model["name"] == "kettle")
    assert kettle["evictions"] > 1000
    assert kettle["carries"] <= kettle["carry_slots"]


def test_a_broken_model_is_not_read_again_at_every_key(tmp_path: Path):
    import queue

    results: queue.Queue[object] = queue.Queue()
    library = ModelLibrary(
        most=1,
        cache_bytes=1,
        loaded=lambda directory, extra, result: results.put(result),
        wanted=lambda directory: True,
        dropped=lambda engine: None,
        hurry=lambda everybody: None,
    )
    assert library.get(tmp_path) is None
    library.load(tmp_path, asker="a writer")
    error = results.get(timeout=60)
    assert library.get(tmp_path) is error
    library.load(tmp_path, asker="a writer", anew=lambda error: None)  # as a reload does: it is tried at once
    assert results.get(timeout=60) is not error
