"""Asks the daemon for the ghost after every prefix of a text, and measures how long a ghost takes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from charrepl.client import AsyncClient, ConnectionState, connection
from charrepl.client.client import Completion
from charrepl.errors import DaemonUnavailableError
from charrepl.ghost.display_policy import MIN_CONFIDENCE
from charrepl.wire.context_window import STRIDE, windowed
from charrepl.wire.protocol import Complete, Decoding, Ghost

# Enough for a full step of the daemon, while other requests are on their way.
TYPISTS = 10
# To continue a stretch, the daemon reads one character. To begin one, it reads a window.
_SHORTEST_STRETCH = 32
# So many keys are typed one after the other, to measure how long a ghost takes.
_TIMED_KEYS = 200

Advance = Callable[[int], None]


class Ghosts(NamedTuple):
    """The ghost after each prefix of a text, except the whole text."""

    adapting: list[Completion]  # adapted to the text before
    plain: list[Completion]  # not adapted


async def ask(
    text: str, *, model: str, endpoint: str | None, advance: Advance
) -> tuple[Ghosts, dict[str, Any]]:
    """The ghosts for `text`, and the latencies in ms of those that adapt."""
    try:
        async with connected(endpoint) as client:
            ghosts = await _ghosts(client, text, model=model, advance=advance)
            return ghosts, await _latencies(client, text, model=model)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


@contextlib.asynccontextmanager
async def connected(endpoint: str | None) -> AsyncIterator[AsyncClient]:
    """A client while the block runs. Raises DaemonUnavailableError if there is no daemon, and none starts."""
    settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def changed(state: ConnectionState) -> None:
        if not settled.done() and state.phase == "ready":
            settled.set_result(None)
        elif not settled.done() and state.phase == "down":
            settled.set_exception(DaemonUnavailableError(state.detail))

    client = AsyncClient(endpoint=endpoint, on_state=changed)
    keeping = asyncio.create_task(client.run())
    try:
        await settled
        yield client
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await client.close()


async def _ghosts(client: AsyncClient, text: str, *, model: str, advance: Advance) -> Ghosts:
    """The ghosts. Several typists ask at the same time, each for its own stretches of the text.

    Each types its stretch in order, so that the daemon has the carry before each character, and batches the
    typists' requests. Which positions a policy reaches depends on the ghosts before them. One policy or
    another reaches nearly all of them.
    """
    ghosts = Ghosts([Completion("", [])] * len(text), [Completion("", [])] * len(text))
    length = max(_SHORTEST_STRETCH, min(STRIDE, -(-len(text) // TYPISTS)))
    stretches = iter([range(start, min(start + length, len(text))) for start in range(0, len(text), length)])
    name = f"eval-{os.getpid()}-{os.urandom(6).hex()}"

    async def type_on(typist: int) -> None:
        for stretch in stretches:
            for at in stretch:
                for into, adapt in ((ghosts.adapting, True), (ghosts.plain, False)):
                    asked = request(text[:at], model=model, session=f"{name}-{typist}", adapt=adapt)
                    async for reply in client.stream(asked):
                        ghost = connection.expect(reply, Ghost)
                        into[at] = Completion(ghost.text, ghost.log_probs)
                advance(1)

    async with asyncio.TaskGroup() as typists:
        for typist in range(TYPISTS):
            typists.create_task(type_on(typist))
    return ghosts


async def _latencies(client: AsyncClient, text: str, *, model: str) -> dict[str, Any]:
    """Percentiles in ms of the time from a key to the first piece of its ghost, and to the whole ghost."""
    name = f"eval-{os.getpid()}-{os.urandom(6).hex()}"
    first, whole = [], []
    for at in range(max(0, len(text) - _TIMED_KEYS), len(text)):
        began = time.perf_counter()
        pieces = [
            1000 * (time.perf_counter() - began)
            async for _ in client.stream(request(text[:at], model=model, session=name))
        ]
        first.append(pieces[0])
        whole.append(pieces[-1])
    # The first key does not count: the daemon had to read the whole text before it.
    return {"first_piece": _percentiles(first[1:] or first), "whole_ghost": _percentiles(whole[1:] or whole)}


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": round(ordered[len(ordered) * p // 100], 2) for p in (50, 90, 99)}


def request(text: str, *, model: str, session: str, adapt: bool = True) -> Complete:
    """What asks for the ghost after a text."""
    part, offset = windowed(text)
    return Complete(
        seq=0,
        session=session,
        text=part,
        offset=offset,
        model=model,
        min_confidence=MIN_CONFIDENCE,
        decoding=Decoding(adapt=adapt),
    )
