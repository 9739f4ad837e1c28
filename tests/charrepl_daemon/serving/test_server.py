"""A real daemon over its real socket: every request its one final reply, every bad frame an error."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrepl.client import Client
from charrepl.wire import protocol
from tests.charrepl_daemon.wire import Wire, complete, final, until_final
from tests.waiting import DEADLINE_S


@pytest.fixture
def wire(shared_daemon) -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def test_hello_is_welcomed(wire):
    welcome = wire.ask({"type": "hello", "seq": 1, "protocol": protocol.PROTOCOL})
    assert (welcome["type"], welcome["seq"], welcome["ready"]) == ("welcome", 1, True)
    assert welcome["models"] == ["kettle"]


def test_another_protocol_number_is_told_what_to_do(wire):
    error = wire.ask({"type": "hello", "seq": 1, "protocol": 99})
    assert (error["type"], error["code"]) == ("error", "protocol")
    assert "charrepl-daemon restart" in error["message"]


def test_a_ghost_streams_in_pieces_that_only_extend(wire):
    wire.send(complete(5, stop="none", max_chars=40))
    replies = until_final(wire)
    assert len(replies) > 2
    for before, after in itertools.pairwise(replies):
        assert after["text"].startswith(before["text"])
    assert len(replies[-1]["text"]) == len(replies[-1]["log_probs"]) == 40
    assert {r["seq"] for r in replies} == {5}


@pytest.mark.parametrize(
    ("frame", "code", "says"),
    [
        (b"", "bad_request", "not a charrepl request"),
        (b"\xff\xfe", "bad_request", "not a charrepl request"),
        (b"hello", "bad_request", "not a charrepl request"),
        (b"[1, 2]", "bad_request", "not a charrepl request"),
        (b'{"type": "complete"}', "bad_request", "missing required field"),
        (b'{"type": "dance", "seq": 3}', "bad_request", "dance"),
        (b'{"type": "status", "seq": 3, "extra": 1}', "bad_request", "extra"),
        (b'{"type": "status", "seq": -1}', "bad_request", "seq"),
        (b'{"type": "status", "seq": "3"}', "bad_request", "seq"),
        (b'{"type": "status", "seq": ' + b"[" * 200_000, "bad_request", "not a charrepl request"),
        (b'{"x": ' + b"[" * 200_000, "bad_request", "not a charrepl request"),
        (b'{"type": "status", "seq": 1, "x": "\xed\xa0\x80"}', "bad_request", "not a charrepl request"),
        (b" " * (protocol.MAX_FRAME_BYTES + 1), "too_large", "at most"),
        (json.dumps(complete(3, "x" * 65_537)).encode(), "bad_request", "65536"),
        (json.dumps(complete(3, "x", offset=5)).encode(), "bad_request", "offset"),
        (json.dumps(complete(3, "x" * 100, offset=4096)).encode(), "bad_offset", "leaves out"),
        (json.dumps(complete(3, "x", max_chars=0)).encode(), "bad_request", "max_chars"),
        (json.dumps(complete(3, "x", decoding={"temperature": -1})).encode(), "bad_request", "temperature"),
        (json.dumps(complete(3, "x", model="nobody")).encode(), "no_model", "kettle"),
        (json.dumps(complete(3, "x", model="/no/such")).encode(), "no_model", "no model directory"),
        (json.dumps(complete(3, "x", model="..")).encode(), "bad_name", "is a relative path"),
        (json.dumps(complete(3, "x", model="a b")).encode(), "bad_name", "cannot be a model's name"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_frame_is_answered_and_the_next_request_served(wire, frame, code, says):
    error = wire.ask(frame)
    assert (error["type"], error["code"]) == ("error", code)
    assert says in error["message"]
    assert "\n" not in error["message"]
    wire.send(complete(9))
    assert until_final(wire)[-1]["seq"] == 9


def test_another_session_is_not_superseded(wire):
    wire.send(complete(1, stop="none"))
    wire.send({**complete(2, stop="none"), "session": "t"})
    replies = []
    while len([r for r in replies if r["final"]]) < 2:
        replies.append(wire.receive())
    assert {r["type"] for r in replies} == {"ghost"}


def test_two_connections_may_use_the_same_session_name(wire):
    other = Wire()
    wire.send(complete(1, stop="none"))
    other.send(complete(1, stop="none"))
    assert until_final(wire)[-1]["type"] == until_final(other)[-1]["type"] == "ghost"
    other.close()


def test_alternatives_come_under_one_final_reply(wire):
    wire.send(complete(1, alternatives=4))
    replies = until_final(wire)
    assert {r["alternative"] for r in replies} == {0, 1, 2, 3}
    assert final(replies)["final"]


def test_a_text_of_zero_length_has_a_ghost(wire):
    wire.send(complete(1, ""))
    assert until_final(wire)[-1]["text"]


def test_a_text_at_the_wires_limit_has_a_ghost(wire):
    wire.send(complete(1, "é" * 65_536))
    assert until_final(wire)[-1]["type"] == "ghost"


def test_characters_outside_the_vocabulary_are_folded(wire):
    wire.send(complete(1, "漢字 🙂 \u0000 \x1b[31m"))
    assert until_final(wire)[-1]["type"] == "ghost"


def test_a_client_that_vanishes_leaves_nothing_behind(wire):
    for _ in range(20):
        gone = Wire()
        gone.send({"type": "sample", "seq": 1, "text": "a", "max_chars": 1_000_000})
        gone.receive()
        gone.close()
    deadline = time.monotonic() + DEADLINE_S
    while wire.ask({"type": "status", "seq": 1})["status"]["waiting"]:
        assert time.monotonic() < deadline, "abandoned passages go on"


def test_a_slow_reader_gets_every_character_of_its_passage(shared_daemon):
    with Client() as client:
        passage = client.sample("MASTER:\n", max_chars=30_000)
        text = next(passage)
        with Client() as other:  # which waits for the daemon while the first one reads nothing
            assert len(list(other.score("x" * 20_000))) == 20_000
        assert len(text + "".join(passage)) == 30_000


def test_a_keystroke_does_not_wait_for_a_passage(wire):
    with Client() as client:
        passage = client.sample("MASTER:\n", max_chars=1_000_000)
        next(passage)
        wire.send(complete(1))
        assert until_final(wire)[-1]["type"] == "ghost"


def test_a_passage_waits_for_some_ghosts_but_not_for_all(wire):
    for seq in range(600):  # in many more steps than one may be overtaken by
        wire.send({**complete(seq, "every cup " * 20), "session": f"writer {seq}"})
        if seq == 100:
            wire.send({"type": "sample", "seq": 999, "text": "MASTER:\n", "max_chars": 8})
    finals = [until_final(wire)[-1]["seq"] for _ in range(601)]
    assert finals.index(999) < 500


def test_a_key_does_not_wait_for_a_paste(wire):
    wire.send({**complete(1, "the road is long and wet " * 80), "session": "paste"})
    wire.send({**complete(2, "every cup "), "session": "key"})
    assert wire.receive()["seq"] == 2
    while until_final(wire)[-1]["seq"] != 1:
        pass


def test_a_newer_key_ends_the_reading_of_a_paste(wire):
    wire.send(complete(1, "the night is long and wet " * 78))
    wire.send(complete(2, "every cup "))
    assert wire.receive()["type"] == "superseded"
    assert until_final(wire)[-1]["seq"] == 2


def test_no_traffic_makes_the_serving_thread_compile(wire):
    for i in range(40):
        wire.send({**complete(i, "the road " * (i % 7), stop="none"), "session": str(i)})
    replies = []
    while len([r for r in replies if r["final"]]) < 40:
        replies.append(wire.receive())
    for fields in (
        {"alternatives": 8},
        {"decoding": {"temperature": 1.0, "top_k": 3, "top_p": 0.5, "seed": 4}},
    ):
        wire.send(complete(50, "x" * 3000, **fields))
        until_final(wire)
    wire.send({"type": "sample", "seq": 51, "text": "a", "max_chars": 100})
    until_final(wire)
    with Client() as client:
        assert len(list(client.score("every cup is warm. " * 20))) == 380
    assert wire.ask({"type": "status", "seq": 52})["status"]["compiles_while_serving"] == 0


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.characters(), max_size=300), st.integers(0, 2**53))
def test_a_request_survives_the_wire(text, seq):
    request = protocol.Complete(seq=seq, session="s", text=text)
    decoded = protocol.decode_request(protocol.encode(request))
    assert decoded == msgspec.structs.replace(request, text=protocol.replace_surrogates(text))


# The sync client


def test_the_client_completes_samples_and_scores(shared_daemon):
    with Client() as client:
        assert client.complete("every cup is wa").text.startswith("rm")
        assert len("".join(client.sample("COOK:\n", max_chars=50))) == 50
        text = "every cup is warm. " * 1000
        scores = list(client.score(text))
        assert len(scores) == len(text)
        assert max(scores) <= 0
        assert client.models().default == "kettle"
        assert client.status()["requests"] > 2


def test_the_same_seed_samples_the_same_passage(shared_daemon):
    with Client() as client:
        decoding = protocol.Decoding(temperature=1.0, seed=4)
        first, second = ("".join(client.sample("COOK", decoding=decoding)) for _ in range(2))
    assert first == second


def test_a_long_text_is_sent_as_its_window(shared_daemon):
    with Client() as client:
        assert client.complete("every cup is warm. " * 55_000).text  # a million characters


def test_a_model_can_be_named_by_its_directory(shared_daemon, shared_home):
    with Client(model=str(shared_home / "models" / "kettle")) as client:
        assert client.complete("every").text
