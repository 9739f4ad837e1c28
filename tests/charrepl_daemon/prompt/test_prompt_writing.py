"""What the prompt asks of a real daemon with a small real model: passages, alternatives, surprise."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Callable, Coroutine

import pytest

from charrepl.client import Client
from charrepl.writing.daemon_link import DaemonLink
from charrepl.writing.draft import Draft, Piece
from charrepl.writing.surprise import Surprise
from tests.charrepl.screen import Screen

CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]
SPEECH = "The kettle sings, the kitchen fills with steam, and every cup is warm.\n"


@pytest.fixture
def prompt(shared_daemon):
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [*CHARREPL, "--assertiveness", "bold"]
    with Screen(command, env={**env, "TERM": "xterm-256color"}) as screen:
        yield screen.wait_for("kettle · CPU")


def test_it_writes_to_the_end_of_the_speech_and_shows_what_surprised_it(prompt):
    prompt.type("/temp 0.01\rMASTER:\rThe kettle si\x1b\r")
    prompt.wait_for(lambda screen: "> The kettle sings, the kitchen fills with steam" in screen.text)
    prompt.wait_for(lambda screen: screen.before_cursor == "" and "bits/char" in screen.text)
    prompt.type("/heat 2\r")
    prompt.wait_for("bits per character on average").type("/next\r")
    prompt.wait_for("others").type("/stats\r")
    prompt.wait_for("surprise    ").type("/undo\r")
    prompt.wait_for(
        lambda screen: screen.before_cursor == "The kettle si" and screen.ghost.startswith("ngs,")
    )


def test_alternatives_begin_with_different_characters(prompt):
    prompt.type("The kettle si")
    prompt.wait_for(lambda screen: screen.ghost.startswith("ngs,"))
    shown = set()
    for place in ("(2/4)", "(3/4)", "(4/4)", "(1/4)"):
        prompt.type("\x1b]")
        prompt.wait_for(place)
        row = next(line for line in prompt.lines if line.startswith("> The kettle si"))
        shown.add(row[len("> The kettle si") :][:1])
    assert len(shown) == 4
    assert "n" in shown


def linked(work: Callable[[DaemonLink], Coroutine[None, None, None]]) -> None:
    """Does `work` with a link to the daemon."""

    async def main() -> None:
        link, ready = DaemonLink(model="kettle"), asyncio.Event()
        link.regained = ready.set
        keeping = asyncio.create_task(link.keep(None))
        try:
            await asyncio.wait_for(ready.wait(), 60)
            await work(link)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())


def test_surprise_is_what_score_says_whatever_is_added_and_taken_back(shared_daemon):
    async def work(link: DaemonLink) -> None:
        surprise, draft = Surprise(link), Draft()
        for line in ("MASTER:\n", SPEECH, "and so\n"):
            draft.add(Piece(line))
            await surprise.read(draft)
        draft.undo()
        assert surprise.bits(draft) == []  # not what was read
        draft.undo()
        draft.add(Piece("The kettle is cold.\n"))
        await surprise.read(draft)
        bits = surprise.bits(draft)
        with Client(model="kettle") as client:
            expected = [-nats / math.log(2) for nats in client.score(draft.text)]
        assert bits == pytest.approx(expected, abs=1e-4)
        assert surprise.mean_of_pieces(draft) == pytest.approx(math.fsum(expected) / len(expected))

    linked(work)


def test_surprise_of_a_long_text_that_was_opened_is_read_from_a_window_on(shared_daemon):
    async def work(link: DaemonLink) -> None:
        surprise, draft = Surprise(link), Draft(SPEECH * 60)
        draft.add(Piece(SPEECH))
        await surprise.read(draft)
        assert len(surprise.bits(draft)) == len(draft.text) - (len(draft.text) // 1024 - 1) * 1024
        for _ in range(40):
            draft.add(Piece(SPEECH))
        await surprise.read(draft)
        mean = surprise.mean_of_pieces(draft)
        assert mean is not None
        assert mean < 1.0  # it is known by heart
        for _ in range(41):
            draft.undo()
        await surprise.read(draft)
        assert len(surprise.bits(draft)) > 1000
        assert surprise.mean_of_pieces(draft) is None

    linked(work)


def test_the_likeliest_next_characters_are_a_distribution(shared_daemon):
    async def work(link: DaemonLink) -> None:
        found = {}
        async for reply in link.complete("The kettle si", 0, max_chars=1, stop="none", alternatives=8):
            found[reply.alternative] = (reply.text, math.exp(reply.log_probs[0]))
        likely = [found[rank] for rank in range(8)]
        assert likely[0][0] == "n"
        assert [p for _, p in likely] == sorted((p for _, p in likely), reverse=True)
        assert 0.9 < sum(p for _, p in likely) <= 1.0001
        assert len({char for char, _ in likely}) == 8

    linked(work)
