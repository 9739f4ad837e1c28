"""`charrepl eval`: a text typed with the ghosts of the daemon, and with what there is without one."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from charrepl import baselines, policy
from charrepl.client import AsyncClient, Client, Completion, ConnectionState
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.evaluate import WORDS, Replay, Shown, at_coverage, replay
from charrepl.policy import ASSERTIVENESS, MIN_CONFIDENCE, Cut
from charrepl.protocol import Complete, Ghost, Reply
from charrepl.window import STRIDE, windowed

# Enough for a full step of the daemon while the answers to another travel.
_TYPISTS = 16
# Typing on costs the daemon one character, and starting elsewhere a window.
_SHORTEST_STRETCH = 32
# Keys that are typed one after the other, to see how long a ghost takes.
TIMED_KEYS = 200

Advance = Callable[[int], None]


def evaluate(
    text: str, *, corpus: str | None, model: str, endpoint: str | None, advance: Advance
) -> dict[str, Any]:
    """What ghosts save a writer of `text`, as `charrepl eval --json` prints it.

    `corpus` is what the baselines may know. `advance` is told of each of the `len(text)` positions
    once it is done. Raises CharreplError as the daemon says.
    """
    began = time.monotonic()
    with Client(model=model, endpoint=endpoint) as client:  # starts a daemon where there is none
        nats = -math.fsum(client.score(text)) / len(text)
    ghosts, latencies = asyncio.run(_ask(text, model=model, endpoint=endpoint, advance=advance))
    with_model = {name: replay(text, _by_policy(text, ghosts, name)) for name in ASSERTIVENESS}
    coverage = {name: done.shown_rate for name, done in with_model.items()}
    result = {
        "characters": len(text),
        "bits_per_character": nats / math.log(2),
        "nats_per_character": nats,
        "latency_ms": latencies,
        "charrepl": {name: _figures(done) for name, done in with_model.items()},
        "history": _with_history(text, corpus or "", coverage),
    }
    if corpus:
        result["ngram"] = _with_ngram(text, corpus, coverage)
    result["seconds"] = round(time.monotonic() - began, 1)
    return result


def _figures(done: Replay, *, calibrated: bool = True) -> dict[str, Any]:
    return {
        "keystroke_savings": done.savings,
        "keys": done.keys,
        "shown": done.shown_rate,
        "first_word_precision": done.precision,
        **{f"exact_match_{words}": done.exact_match(words) for words in range(1, WORDS + 1)},
        "calibration_error": done.calibration_error if calibrated else None,
    }


# Baselines, at the coverage of the model


def _with_history(text: str, history: str, coverage: dict[str, float]) -> dict[str, Any]:
    """A suggestion has no probability: it is held back until enough of the line is typed."""
    suggestions = list(baselines.history_suggestions(history, text))

    def typed(at: int) -> int:
        return at - (text.rfind("\n", 0, at) + 1)

    def replay_at(least: float) -> Replay:
        return replay(text, lambda at: Shown(suggestions[at] if typed(at) >= least else ""))

    longest = max(map(len, text.split("\n")))
    return {
        name: _figures(at_coverage(replay_at, rate, 0, longest + 1), calibrated=False)
        for name, rate in coverage.items()
    }


def _with_ngram(text: str, corpus: str, coverage: dict[str, float]) -> dict[str, Any]:
    """The same rule as for the model's ghosts, save that a cut must be worth more than a threshold."""
    ngram = baselines.NGram(corpus)
    ghosts = [Completion(*ngram.ghost(text[:at], least=MIN_CONFIDENCE)) for at in range(len(text))]

    def tuned(name: str) -> Replay:
        shown = _by_policy(text, ghosts, name)
        return at_coverage(lambda least: replay(text, lambda at: shown(at, least)), coverage[name], -10, 50)

    return {name: _figures(tuned(name)) for name in coverage}


def _by_policy(text: str, ghosts: Sequence[Completion], name: str) -> Callable[..., Shown]:
    """What is shown at a position, of value above `least`."""
    cuts: dict[int, Cut] = {}

    def shown(at: int, least: float = 0.0) -> Shown:
        ghost = ghosts[at]
        if at not in cuts:
            before, _ = windowed(text[:at])
            cuts[at] = policy.best_cut(before, ghost.text, ghost.log_probs, ASSERTIVENESS[name])
        cut = cuts[at]
        return Shown(ghost.text[: cut.length], cut.probability) if cut.value > least else Shown()

    return shown


# The daemon


async def _ask(
    text: str, *, model: str, endpoint: str | None, advance: Advance
) -> tuple[list[Completion], dict[str, Any]]:
    """The ghost after each prefix of `text`, the whole of it excepted; and latencies in ms."""
    try:
        async with _connected(endpoint) as client:
            ghosts = await _ghosts(client, text, model=model, advance=advance)
            return ghosts, await _latencies(client, text, model=model)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


@contextlib.asynccontextmanager
async def _connected(endpoint: str | None) -> AsyncIterator[AsyncClient]:
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


async def _ghosts(client: AsyncClient, text: str, *, model: str, advance: Advance) -> list[Completion]:
    """The ghosts, asked for by several typists at once, each with stretches of its own.

    Each types its stretch in order, so that the daemon has the carry before; that of other typists
    is batched with it. Which of the positions a policy comes to is known only once the ghosts before
    them are: nearly all of them, for one policy or another.
    """
    ghosts = [Completion("", [])] * len(text)
    length = max(_SHORTEST_STRETCH, min(STRIDE, -(-len(text) // _TYPISTS)))
    stretches = iter([range(start, min(start + length, len(text))) for start in range(0, len(text), length)])
    name = f"eval-{os.getpid()}-{os.urandom(6).hex()}"

    async def type_on(typist: int) -> None:
        for stretch in stretches:
            for at in stretch:
                request = _request(text[:at], model=model, session=f"{name}-{typist}")
                async for reply in client.stream(request):
                    ghosts[at] = _completion(reply)
                advance(1)

    async with asyncio.TaskGroup() as typists:
        for typist in range(_TYPISTS):
            typists.create_task(type_on(typist))
    return ghosts


async def _latencies(client: AsyncClient, text: str, *, model: str) -> dict[str, Any]:
    """Percentiles in ms of the time from a key to the first piece of its ghost, and to all of it."""
    name = f"eval-{os.getpid()}-{os.urandom(6).hex()}"
    first, whole = [], []
    for at in range(max(0, len(text) - TIMED_KEYS), len(text)):
        began = time.perf_counter()
        pieces = [
            1000 * (time.perf_counter() - began)
            async for _ in client.stream(_request(text[:at], model=model, session=name))
        ]
        first.append(pieces[0])
        whole.append(pieces[-1])
    # What came before the first of the keys was read for it alone.
    return {"first_piece": _percentiles(first[1:] or first), "whole_ghost": _percentiles(whole[1:] or whole)}


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": round(ordered[len(ordered) * p // 100], 2) for p in (50, 90, 99)}


def _request(text: str, *, model: str, session: str) -> Complete:
    part, offset = windowed(text)
    return Complete(
        seq=0, session=session, text=part, offset=offset, model=model, min_confidence=MIN_CONFIDENCE
    )


def _completion(reply: Reply) -> Completion:
    if not isinstance(reply, Ghost):
        raise CharreplError(f"the daemon answered with {type(reply).__name__}: run charrepl-daemon restart")
    return Completion(reply.text, reply.log_probs)
