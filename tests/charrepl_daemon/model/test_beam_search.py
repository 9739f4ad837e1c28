"""Beam search, against a plain one in float64: in the engine, over the socket, from the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from charrepl.cli.main import main
from charrepl.client import Client
from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.engine import Engine
from tests.charrepl_daemon.engine_requests import complete
from tests.charrepl_daemon.reference import MARGIN, Reference, beam_search

PROMPTS = ["", "every ", "MASTER:\n", "the", "x", "COOK:\nThe road is long, an", "the night is wet " * 40]


@pytest.fixture(scope="module")
def reference(model_dir: Path) -> Reference:
    return Reference(model_dir)


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> Engine:
    engine = Engine(model_dir, cache_bytes=0)
    engine.make("search")
    return engine


def find(engine, text, *, beams, max_chars=24, stop="none", least=0.0):
    """The ghost found, and its log-probabilities."""
    reading, search = engine.planner.searched(
        "s",
        complete(text, max_chars=max_chars, stop=stop, min_confidence=least, decoding=Decoding(beam=beams)),
    )
    while not reading.done:
        engine.step([reading])
    while not search.done:
        engine.search(search)
    return engine.found(search)


def joint(reference, text, written):
    """The joint log-probability of what was written, by the reference."""
    carry, total = reference.read(text), 0.0
    for token in reference.vocabulary.encode(written):
        total += reference.log_probs(carry)[token]
        carry = reference.step(carry, token)
    return total


@pytest.mark.parametrize(("stop", "ends"), [("none", ""), ("line", "\n"), ("sentence", ".!?\n")])
@pytest.mark.parametrize("beams", [1, 3, 8])
def test_it_finds_what_a_plain_search_finds(engine, reference, beams, stop, ends):
    for text in PROMPTS:
        written, log_probs = find(engine, text, beams=beams, stop=stop)
        expected, likely = beam_search(reference, text, beams=beams, max_chars=24, ends=ends)
        assert abs(sum(log_probs) - joint(reference, text, written)) < MARGIN
        assert written == expected or abs(joint(reference, text, written) - likely) < MARGIN


def test_more_beams_find_likelier_ghosts_than_greed(engine, reference):
    gained = []
    for text in PROMPTS:
        greedy, _ = find(engine, text, beams=1)
        wide, _ = find(engine, text, beams=8)
        gained.append(joint(reference, text, wide) - joint(reference, text, greedy))
    assert min(gained) > -MARGIN
    assert max(gained) > 0.05


def test_it_is_cut_where_its_joint_probability_falls_below_the_threshold(engine):
    whole, log_probs = find(engine, "and zz", beams=4)
    cut, _ = find(engine, "and zz", beams=4, least=0.3)
    assert cut == whole[: int((np.exp(np.cumsum(log_probs)) >= 0.3).sum())]
    assert len(cut) < len(whole)


def test_a_carry_that_made_way_before_the_search_began_is_read_again(engine, reference):
    text = "every cup "
    reading, search = engine.planner.searched("lost", complete(text, max_chars=12, decoding=Decoding(beam=4)))
    while not reading.done:
        engine.step([reading])
    engine._lose_carries()
    while not search.done:
        engine.search(search)
    expected, _ = beam_search(reference, text, beams=4, max_chars=12)
    assert engine.found(search)[0] == expected


# Through the daemon


def ask(client: Client, text: str, **settings: object) -> list[protocol.Ghost]:
    decoding = Decoding(beam=4)
    request = protocol.Complete(
        seq=0, session="s", text=text, stop="none", **{"max_chars": 30, "decoding": decoding, **settings}
    )
    return list(client.stream(request))


def test_a_request_gets_one_final_ghost_and_its_program_holds_up_nobody(shared_daemon, reference):
    with Client() as client:
        (found,) = ask(client, "every ")
        assert found.final
        assert found.text == beam_search(reference, "every ", beams=4, max_chars=30)[0]
        assert len(found.text) == len(found.log_probs) == 30
        for settings in ({"max_chars": 300}, {"decoding": Decoding(beam=8)}, {"min_confidence": 0.5}):
            assert ask(client, "the night is wet " * 100, **settings)[-1].final
        assert client.status()["compiles_while_serving"] == 0


@pytest.mark.parametrize(
    "request_",
    [
        protocol.Complete(seq=0, session="s", text="a", alternatives=2, decoding=Decoding(beam=2)),
        protocol.Sample(seq=0, text="a", decoding=Decoding(beam=2)),
    ],
    ids=["alternatives", "sample"],
)
def test_what_has_no_one_likeliest_ghost_is_refused(shared_daemon, request_):
    with Client() as client, pytest.raises(CharreplError, match="beam search finds one ghost"):
        client.ask(request_)


def test_a_newer_key_ends_a_search(shared_daemon):
    from tests.charrepl_daemon.serving.test_server import Wire

    wire = Wire()
    ask_ = {"type": "complete", "session": "s", "text": "every ", "stop": "none"}
    wire.send({**ask_, "seq": 1, "max_chars": 4096, "decoding": {"beam": 8}})
    wire.send({**ask_, "seq": 2})
    assert wire.receive()["type"] == "superseded"
    assert wire.receive()["seq"] == 2
    wire.close()


def test_the_command_prints_the_likeliest_text(shared_daemon, reference):
    expected, likely = beam_search(reference, "every ", beams=4, max_chars=40)
    ran = CliRunner().invoke(main, ["complete", "every ", "--beam", "4", "--chars", "40"])
    assert (ran.exit_code, ran.output) == (0, expected + "\n")
    told = CliRunner().invoke(main, ["complete", "every ", "--beam", "4", "--chars", "40", "--json"])
    assert json.loads(told.output)["text"] == expected
    assert abs(json.loads(told.output)["log_probability"] - likely) < MARGIN


@pytest.mark.parametrize(
    "options",
    [["--temperature", "1"], ["--top-k", "3"], ["--top-p", "0.5"], ["--greedy"], ["--seed", "1"]],
    ids=lambda options: options[0],
)
def test_the_command_takes_no_other_way_of_choosing_beside_it(options):
    ran = CliRunner().invoke(main, ["complete", "a", "--beam", "4", *options])
    assert ran.exit_code == 2
    assert f"leave out {options[0]}" in ran.output
    assert "4,096" in CliRunner().invoke(main, ["complete", "a", "--beam", "4", "--chars", "5000"]).output
