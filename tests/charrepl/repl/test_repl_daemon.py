"""The prompt against a daemon that hangs, lies, dies, or is another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from msgspec.structs import replace

from charrepl.wire import protocol
from tests.charrepl.prompt import BACKSPACE, CTRL_C, CTRL_D, READY, Bench, shows, typed
from tests.charrepl.scripted_daemon import ScriptedDaemon, after, answer, continuing, hung


@pytest.mark.parametrize("script", [hung, after(0.2, continuing())], ids=["hung", "slow"])
def test_keys_work_whatever_the_daemon_does(
    live: Bench, script: Callable[[protocol.Complete], Iterator[protocol.Message]]
) -> None:
    live.daemon.script = script
    with live.repl() as screen:
        for count in range(1, 21):
            screen.type("x")
            screen.wait_for(typed("x" * count))
        if script is hung:
            screen.wait_for("the daemon is slow to answer")
        screen.type("\r" + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.lines == ["> " + "x" * 20]


def test_keys_work_without_a_daemon(bench: Bench) -> None:
    with bench.repl(ready="no daemon") as screen:
        screen.type("hello\rworld")
        screen.wait_for(typed("world"))
        assert screen.lines[0] == "> hello"


def test_a_daemon_that_dies_while_typing_costs_nothing(live: Bench) -> None:
    with live.repl() as screen:
        screen.type("ROMEO:\rIs")
        screen.wait_for(shows(" the day so young?↵"))
        live.daemon.stop()
        screen.type("x the")
        screen.wait_for(typed("Isx the")).wait_for(lambda s: READY not in s.text)
        screen.type(BACKSPACE * 5 + " the")
        screen.wait_for(typed("Is the"))
        live.daemon.requests.clear()
        live.daemon.start()
        screen.wait_for(READY).wait_for(shows(" day so young?↵"))
        screen.wait_for(lambda s: [request.text for request in live.daemon.requests] == ["ROMEO:\nIs the"])


def test_a_lying_daemon_cannot_corrupt_the_screen_or_the_text(live: Bench) -> None:
    def lies(request: protocol.Complete) -> Iterator[protocol.Message]:
        yield answer(request, "\x1b[2Jabc\x07\x9bm", final=False)
        yield answer(request, "something else", final=False)
        yield protocol.Superseded(seq=request.seq, session=request.session)

    live.daemon.script = lies
    with live.repl() as screen:
        screen.type("hello")
        screen.wait_for(lambda s: s.before_cursor == "hello" and s.ghost == "␛[2Jabc␇�m")
        assert b"\x07" not in screen.written
        assert b"\x1b[2J" not in screen.written
        assert "\x9b".encode() not in screen.written


def of_another_session(request: protocol.Complete) -> protocol.Ghost:
    return replace(answer(request, "XXXX"), session="another", final=False)


LIES: dict[str, tuple[Callable[[protocol.Complete], Iterable[protocol.Message | bytes]], str]] = {
    "of a request that was never made": (
        lambda request: [replace(answer(request, "XXXX"), seq=request.seq + 1000), answer(request, "abc")],
        "abc",
    ),
    "of another session": (lambda request: [of_another_session(request), answer(request, "abc")], "abc"),
    "of an alternative nobody asked for": (
        lambda request: [answer(request, "XXXX", rank=3, final=False), answer(request, "abc")],
        "abc",
    ),
    "that replaces what it said": (
        lambda request: [answer(request, "ab", final=False), answer(request, "XXXX"), answer(request, "XY")],
        "ab",
    ),
    "more than likely": (lambda request: [answer(request, "abc", nats=1e300)], "abc"),
    "with too few probabilities": (
        lambda request: [replace(answer(request, "abc"), log_probs=[-0.1])],
        "abc",
    ),
    "of 150,000 characters": (lambda request: [answer(request, "ab " * 50_000)], ("ab " * 16).rstrip()),
    "in no form it could have": (lambda request: [b"\xff{", b"[" * 100_000], ""),
}


def test_a_lie_costs_a_ghost_at_most(live: Bench) -> None:
    live.daemon.script = continuing("")
    with live.repl() as screen, screen.watched(lambda s: "X" not in s.text or pytest.fail(s.text)):
        for number, (lie, (replies, ghost)) in enumerate(LIES.items()):
            line = f"{number} hello"
            live.daemon.script = lambda request, replies=replies: iter(replies(request))
            for count in range(1, len(line) + 1):
                screen.type(line[count - 1])
                screen.wait_for(typed(line[:count]))
            screen.wait_for(lambda s, ghost=ghost: s.ghost.rstrip() == ghost)
            assert (lie, screen.before_cursor, "defect" in screen.text) == (lie, line, False)
            live.daemon.script = continuing(f"{line}, world\n")
            screen.type(",")
            screen.wait_for(lambda s, line=line: s.before_cursor == f"{line}," and s.ghost == " world↵")
            screen.type(CTRL_C)
            screen.wait_for(typed(""))


def test_a_daemon_that_never_stops_talking_keeps_no_key_waiting(live: Bench) -> None:
    def endless(request: protocol.Complete) -> Iterator[protocol.Message]:
        while True:
            yield answer(request, "abc", final=False)

    live.daemon.script, live.daemon.pace_ms = endless, 0
    with live.repl() as screen:
        screen.wait_for(shows("abc"))
        for count in range(1, 11):
            screen.type("x")
            screen.wait_for(typed("x" * count))
        screen.type("\r" + CTRL_D)
        assert screen.wait_for_exit() == 0


def test_an_error_of_the_daemon_is_one_line_in_the_toolbar(live: Bench) -> None:
    live.daemon.script = lambda request: iter(
        [protocol.Error(seq=request.seq, code="no_model", message="no model named x: train one")]
    )
    with live.repl(ready="no model named x: train one") as screen:
        screen.type("hello")
        screen.wait_for(typed("hello")).wait_for("no model named x: train one")
        assert len(live.daemon.requests) <= 6  # it is not asked again and again


def test_a_busy_daemon_is_asked_once_more(live: Bench) -> None:
    ghosts = continuing()

    def busy_once(request: protocol.Complete) -> Iterator[protocol.Message]:
        if len(live.daemon.requests) == 1:
            return iter([protocol.Error(seq=request.seq, code="busy", message="try again in a moment")])
        return ghosts(request)

    live.daemon.script = busy_once
    with live.repl() as screen:
        screen.wait_for(shows("ROMEO:↵"))
        assert [request.text for request in live.daemon.requests] == ["", ""]


def test_a_daemon_that_stays_busy_is_left_alone_and_says_so(live: Bench) -> None:
    live.daemon.script = lambda request: iter(
        [protocol.Error(seq=request.seq, code="busy", message="try again in a moment")]
    )
    with live.repl(ready="try again in a moment") as screen:
        assert [request.text for request in live.daemon.requests] == ["", ""]
        screen.type("x")
        screen.wait_for(READY).wait_for("try again in a moment")
        assert [request.text for request in live.daemon.requests] == ["", "", "x", "x"]


def test_another_model_that_becomes_the_default_does_not_take_over(live: Bench) -> None:
    with live.repl() as screen:
        live.daemon.stop()
        screen.wait_for(lambda s: READY not in s.text)
        live.daemon.models.reverse()
        live.daemon.start()
        screen.wait_for(READY).type("x")
        screen.wait_for(lambda s: [r.model for r in live.daemon.requests if r.text == "x"] == ["shakespeare"])


def test_the_users_own_daemon_is_asked_for_the_default_model_by_name(bench: Bench) -> None:
    run = bench.place / "run"
    run.mkdir(mode=0o700)
    model = bench.place / "data" / "models" / "lamp"
    (model / "checkpoints" / "best-00000001").mkdir(parents=True)
    (model / "config.toml").touch()
    bench.daemon = ScriptedDaemon(run / "daemon.sock", continuing())
    announced = "charrepl opens lamp now, trained last: /model shakespeare goes back"
    with bench.daemon, bench.repl(endpoint=None, ready=announced) as screen:
        screen.wait_for("\nlamp · scripted")
        screen.wait_for(f"\n{announced}\nTab takes the grey text")  # neither hides another
        screen.type(" ")
        screen.wait_for(lambda s: announced not in s.text)
        screen.type("\b")
        screen.wait_for(shows("ROMEO:↵"))
        assert {request.model for request in bench.daemon.requests} == {"lamp"}
