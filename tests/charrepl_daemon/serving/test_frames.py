"""What comes through the socket and is no request: answered each, and then honest ones are served."""

from __future__ import annotations

import json
import random
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from tests.charrepl_daemon.wire import Wire, complete, finals, until_final
from tests.waiting import DEADLINE_S

FUZZED, AT_ONCE = 100_000, 500
VALID = [
    {"type": "hello", "seq": 1, "protocol": protocol.PROTOCOL, "version": "1.0"},
    complete(2, "every cup", model="kettle", max_chars=2, decoding={"temperature": 0.5}),
    {"type": "sample", "seq": 3, "text": "The", "max_chars": 2, "stop": "line"},
    {"type": "score", "seq": 4, "text": "warm", "carry": "AAAA", "digest": "x"},
    {"type": "status", "seq": 5},
    {"type": "models", "seq": 6},
]
WEIGHTS = [10, 20, 5, 10, 10, 1]  # the models are read from the disk at each of the last
ODD = [
    None,
    True,
    -1,
    0.5,
    2**53,
    2**70,
    1e308,
    "",
    "x" * 2000,
    "\x00",
    "..",
    "/",
    "é漢🙂",
    [],
    {},
    [[1]],
    "𝄞\n",
]


def fuzz(rng: random.Random) -> bytes:
    """A frame that is damaged, foreign, or made to hurt."""
    message = dict(rng.choices(VALID, WEIGHTS)[0])
    frame = bytearray(json.dumps(message).encode())
    kind = rng.random()
    if kind < 0.2:  # truncated
        return bytes(frame[: rng.randrange(len(frame))])
    if kind < 0.5:  # a few bytes are others
        for _ in range(rng.randrange(1, 6)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        return bytes(frame)
    if kind < 0.6:  # noise
        return rng.randbytes(rng.randrange(200))
    if kind < 0.7:  # of another version
        return json.dumps({**VALID[0], "protocol": rng.randrange(-(2**40), 2**40)}).encode()
    if kind < 0.9995:  # a field that is odd, new or missing
        name = rng.choice([*message, "session", "offset", "new"])
        message[name] = rng.choice(ODD)
        if rng.random() < 0.2:
            del message[rng.choice(list(message))]
        return json.dumps(message).encode()
    if kind < 0.9998:
        return b'{"type":"status","seq":1,"x":' + rng.choice([b"[", b'{"a":']) * rng.randrange(500, 100_000)
    return b"x" * rng.randrange(protocol.MAX_FRAME_BYTES + 1, protocol.MAX_FRAME_BYTES + 1000)


@pytest.fixture
def wire(shared_daemon):
    with Wire() as wire:
        yield wire


def test_a_hundred_thousand_fuzzed_frames_get_one_final_reply_each_and_do_no_harm(wire):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    before = wire.status()
    answered = 0
    for _ in range(0, FUZZED, AT_ONCE):
        for _ in range(AT_ONCE):
            wire.send(fuzz(rng))
        got = 0
        while got < AT_ONCE:
            assert wire.socket.poll(DEADLINE_S * 1000), "a frame without an answer"
            reply = protocol.decode_reply(wire.socket.recv())
            assert getattr(reply, "code", "") != "internal", reply
            got += protocol.is_final(reply)
        answered += got
    after = wire.status()
    assert not wire.socket.poll(0)
    assert answered == FUZZED
    assert after["pid"] == before["pid"]
    assert FUZZED / 2 < after["faults"]["malformed"] - before["faults"]["malformed"] < FUZZED
    wire.send(complete(9, "every cup is wa"))
    assert until_final(wire)[-1]["text"].startswith("rm")


def test_a_frame_over_the_hard_limit_costs_only_its_sender(wire):
    with Wire() as rude:
        rude.send(b" " * (9 * protocol.MAX_FRAME_BYTES))
        assert wire.ask({"type": "status", "seq": 1})["type"] == "report"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=8,
)
TAGS = [struct.__struct_config__.tag for struct in protocol.Request.__args__]
FIELDS = sorted({name for struct in protocol.Request.__args__ for name in struct.__struct_fields__})
MESSAGES = st.builds(
    lambda tag, seq, rest: {**rest, "type": tag, "seq": seq},
    st.sampled_from(TAGS) | st.text(max_size=8),
    st.integers(-5, 2**60) | JSON,
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
)


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | MESSAGES.map(msgspec.json.encode))
def test_decoding_a_frame_gives_a_request_or_an_error(frame):
    try:
        request = protocol.decode_request(frame)
    except CharreplError as error:
        assert error.code == "bad_request"
        assert "\n" not in str(error)
    else:
        assert protocol.decode_request(protocol.encode(request)) == request
    assert protocol.seq_of(frame) >= 0
    try:
        assert isinstance(protocol.decode_reply(frame), protocol.Message)
    except CharreplError as error:
        assert error.code == "bad_reply"


@given(st.sampled_from([b"[", b'{"a":', b'{"type":"status","seq":1,"x":']), st.integers(1, 100_000))
def test_however_deeply_a_frame_is_nested_it_is_an_error(opening, depth):
    with pytest.raises(CharreplError) as refused:
        protocol.decode_request(opening * depth)
    assert refused.value.code in ("bad_request", "too_large")


# Frames that are requests, and too many of them


def test_ten_thousand_keystrokes_sent_without_waiting_get_one_final_reply_each(wire):
    text = "every cup is warm, good master"
    before = wire.status()
    for i in range(1, 10_001):
        wire.send(complete(i, (text * 2)[: i % len(text) + 1], stop="none"))
    found = finals(wire, 10_000)
    assert {reply["type"] for reply in found.values()} == {"ghost", "superseded"}
    assert found[10_000]["type"] == "ghost"
    after = wire.status()
    superseded = sum(reply["type"] == "superseded" for reply in found.values())
    assert after["superseded"] - before["superseded"] == superseded
    assert after["waiting"] == after["faults"]["clients_let_go"] - before["faults"]["clients_let_go"] == 0


def test_ten_thousand_requests_that_wait_for_the_disk_get_one_final_reply_each(wire):
    # A name that is known and names that are not, in sessions that supersede one another while they wait.
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    sent = 0
    while sent < 10_000:
        seqs = range(sent + 1, sent + rng.randrange(2, 12))
        for seq in seqs:
            model = rng.choice(["", "kettle", "kettle", f"absent{seq}"])
            wire.send(complete(seq, model=model, max_chars=1, session=rng.choice("st")))
        assert sorted(finals(wire, len(seqs))) == list(seqs)
        sent = seqs[-1]
    assert not wire.socket.poll(100), "a reply after the final one"
    assert wire.status()["waiting"] == 0


def test_a_client_that_never_reads_is_let_go_of_and_costs_nobody_else(wire):
    before = wire.status()
    with Wire() as rude:
        for i in range(30_000):
            rude.send({"type": "x", "seq": 1})
            if i % 3000 == 0:
                wire.send(complete(i, "every cup is wa"))
                assert until_final(wire)[-1]["text"].startswith("rm")
        rude.send({"type": "sample", "seq": 2, "text": "a", "max_chars": 1_000_000})
        deadline = time.monotonic() + DEADLINE_S
        while wire.status()["faults"]["clients_let_go"] == before["faults"]["clients_let_go"]:
            assert time.monotonic() < deadline
    while wire.status()["waiting"]:
        assert time.monotonic() < deadline, "a passage for nobody goes on"


def test_a_second_connection_of_the_same_identity_cannot_take_the_firsts_answers(wire):
    with Wire(identity=b"twin") as first:
        assert first.status()["ready"]
        with Wire(identity=b"twin") as second:
            second.send(complete(7, "every cup is wa"))
            for seq in range(20):
                first.send(complete(seq))
                assert {reply["seq"] for reply in until_final(first)} == {seq}
            wire.send(complete(8, "every cup is wa"))
            assert until_final(wire)[-1]["text"].startswith("rm")
            assert not second.socket.poll(0)
        # It is not heard, however long it stays; whoever comes when the first has left is.
    deadline, served = time.monotonic() + DEADLINE_S, False
    while not served:
        assert time.monotonic() < deadline
        with Wire(identity=b"twin") as third:
            third.send(complete(9, "every cup is wa"))
            served = third.socket.poll(500) and {reply["seq"] for reply in until_final(third)} == {9}
