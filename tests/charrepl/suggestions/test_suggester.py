"""Requests that are shared, superseded, cancelled and bounded; the daemon is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.suggestions.off_switch import OffSwitch
from charrepl.suggestions.request import SuggestionRequest, Suggestions
from charrepl.suggestions.suggester import Suggester
from charrepl.wire import protocol
from tests.charrepl.prompt import Bench
from tests.charrepl.scripted_daemon import answer, continuing, hung
from tests.waiting import DEADLINE_S

TEXT = "ROMEO:\nIs the day"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))


def request(before: str = TEXT, **fields) -> SuggestionRequest:
    return SuggestionRequest(**{"document": "d", "before": before, **fields})


def run(bench: Bench, use: Callable[[Suggester], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Suggester(endpoint=bench.daemon.endpoint) as suggester:
            await use(suggester)

    asyncio.run(main())


async def heard(bench: Bench, count: int) -> None:
    """Returns once the daemon has got so many requests."""
    while len(bench.daemon.requests) < count:
        await asyncio.sleep(0.002)


def test_a_ghost_of_one_line(live: Bench) -> None:
    async def use(suggester: Suggester) -> None:
        found = await suggester.suggest(request(), timeout_s=DEADLINE_S)
        assert found == Suggestions((" so young?",))

    run(live, use)


def test_a_long_text_is_asked_for_by_its_window(live: Bench) -> None:
    async def use(suggester: Suggester) -> None:
        await suggester.suggest(request("x" * 10_000_000), timeout_s=DEADLINE_S)
        await suggester.suggest(request("y" * 2000, offset=4096), timeout_s=DEADLINE_S)

    run(live, use)
    assert [len(asked.text) for asked in live.daemon.requests] == [10_000_000 % 1024 + 1024, 2000]
    assert [asked.offset % 1024 for asked in live.daemon.requests] == [0, 0]


def test_equal_requests_at_once_share_an_answer(live: Bench) -> None:
    async def use(suggester: Suggester) -> None:
        found = await asyncio.gather(*[suggester.suggest(request(), timeout_s=DEADLINE_S) for _ in range(3)])
        assert {one.texts for one in found} == {(" so young?",)}

    run(live, use)
    assert len(live.daemon.requests) == 1


def test_a_newer_request_of_the_document_supersedes(live: Bench) -> None:
    live.daemon.script = hung

    async def use(suggester: Suggester) -> None:
        older = asyncio.create_task(suggester.suggest(request(), timeout_s=DEADLINE_S))
        other = asyncio.create_task(suggester.suggest(request(document="other"), timeout_s=DEADLINE_S))
        await heard(live, 2)
        live.daemon.script = continuing()
        newer = await suggester.suggest(request(f"{TEXT} so"), timeout_s=DEADLINE_S)
        assert (await older).outcome == "superseded"
        assert newer.texts == (" young?",)
        assert not other.done()
        other.cancel()

    run(live, use)


def test_to_leave_ends_the_decoding(live: Bench) -> None:
    live.daemon.script = hung

    async def use(suggester: Suggester) -> None:
        asked = [asyncio.create_task(suggester.suggest(request(), timeout_s=DEADLINE_S)) for _ in range(2)]
        await heard(live, 1)
        asked[0].cancel()  # the other one still waits
        assert not await live_cancels(live, wait=False)
        asked[1].cancel()
        assert await live_cancels(live, wait=True)

    run(live, use)


async def live_cancels(bench: Bench, *, wait: bool) -> bool:
    """Whether the daemon was told to give a request up."""
    while wait and not bench.daemon.cancelled:
        await asyncio.sleep(0.002)
    return bool(bench.daemon.cancelled)


def test_a_late_answer_is_an_empty_one_and_the_next_is_asked_anew(live: Bench) -> None:
    live.daemon.script = hung

    async def use(suggester: Suggester) -> None:
        first = asyncio.create_task(suggester.suggest(request(), timeout_s=DEADLINE_S))
        await heard(live, 1)
        first.cancel()
        assert await suggester.suggest(request(), timeout_s=0.05) == Suggestions(outcome="late")
        live.daemon.script = continuing()
        found = await suggester.suggest(request(), timeout_s=DEADLINE_S)
        assert found.texts == (" so young?",)

    run(live, use)


def test_without_a_daemon_the_answer_is_empty_and_in_time(bench: Bench) -> None:
    async def use(suggester: Suggester) -> None:
        assert await suggester.suggest(request(), timeout_s=0.05) == Suggestions(outcome="unavailable")
        with bench.daemon:  # which the request waits for
            found = await suggester.suggest(request(), timeout_s=DEADLINE_S)
            assert found.texts == (" so young?",)

    run(bench, use)


def test_a_daemon_that_is_replaced_while_asked_answers(live: Bench) -> None:
    live.daemon.script = hung

    async def use(suggester: Suggester) -> None:
        asked = asyncio.create_task(suggester.suggest(request(), timeout_s=DEADLINE_S))
        await heard(live, 1)
        await asyncio.to_thread(live.daemon.stop)
        live.daemon.script = continuing()
        live.daemon.start()
        assert (await asked).texts == (" so young?",)

    run(live, use)


def test_what_the_daemon_refuses_is_raised(live: Bench) -> None:
    def refusing(asked: protocol.Complete):
        yield protocol.Error(seq=asked.seq, code="no_model", message="there is no model named 'x'")

    live.daemon.script = refusing

    async def use(suggester: Suggester) -> None:
        with pytest.raises(CharreplError, match="no model named") as refused:
            await suggester.suggest(request(model="x"), timeout_s=DEADLINE_S)
        assert refused.value.code == "no_model"

    run(live, use)
    assert live.daemon.requests[0].model == "x"


def test_alternatives_are_the_likeliest_first_and_no_two_alike(live: Bench) -> None:
    def ways(asked: protocol.Complete):
        for rank, way in enumerate(("warm", "cold", "warm\n")):
            yield answer(asked, way, final=rank == 2, rank=rank)

    live.daemon.script = ways

    async def use(suggester: Suggester) -> None:
        found = await suggester.suggest(request(alternatives=3), timeout_s=DEADLINE_S)
        assert found.texts == ("warm", "cold")

    run(live, use)


def test_nothing_is_asked_while_ghosts_are_off(live: Bench) -> None:
    async def use(suggester: Suggester) -> None:
        OffSwitch().turn_off("vim")
        found = await suggester.suggest(request(host="vim"), timeout_s=DEADLINE_S)
        assert found == Suggestions(outcome="off")

    run(live, use)
    assert live.daemon.requests == []


def test_nothing_is_asked_where_a_word_follows(live: Bench) -> None:
    async def use(suggester: Suggester) -> None:
        assert await suggester.suggest(request(after="word")) == Suggestions()

    run(live, use)
    assert live.daemon.requests == []
