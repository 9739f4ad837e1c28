"""`charrepl eval`: types a text with the daemon's ghosts, and with baselines that need no daemon."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from charrepl.client import Client
from charrepl.client.client import Completion
from charrepl.evaluation import baselines, ghost_requests
from charrepl.evaluation.ghost_requests import Advance
from charrepl.evaluation.simulated_typist import WORDS, Replay, Shown, at_coverage, replay
from charrepl.ghost import display_policy
from charrepl.ghost.display_policy import ASSERTIVENESS, MIN_CONFIDENCE, Cut
from charrepl.settings import model_names
from charrepl.terminal.heartbeat import heartbeat
from charrepl.terminal.progress import Display, bar, duration

Stage = Callable[[str], Advance]  # begins a stage with a name

_WRITERS = ("charrepl", "plain", "history", "ngram")


def evaluate(
    text: str, *, corpus: str | None, model: str, endpoint: str | None, stage: Stage
) -> dict[str, Any]:
    """How many keys ghosts save when `text` is typed, as `charrepl eval --json` prints it.

    `corpus` is what the baselines may know. "plain" means ghosts that do not adapt. Raises CharreplError if
    the daemon refuses.
    """
    began = time.monotonic()
    # The writer types letters in composed form, however the file stores them.
    text = unicodedata.normalize("NFC", text)
    corpus = unicodedata.normalize("NFC", corpus or "")
    with Client(model=model, endpoint=endpoint) as client:  # starts a daemon if there is none
        nats = _loss(client.score(text), stage("reading"))
        adapting_nats = _loss(client.score(text, adapt=True), stage("reading and adapting"))
        name = model or client.models().default  # known only after it has answered
    asked = ghost_requests.ask(
        text, model=model_names.absolute(model), endpoint=endpoint, advance=stage("typing")
    )
    ghosts, latencies = asyncio.run(asked)
    with_model = {name: replay(text, _by_policy(ghosts.adapting, name)) for name in ASSERTIVENESS}
    plain = {name: replay(text, _by_policy(ghosts.plain, name)) for name in ASSERTIVENESS}
    coverage = {name: done.shown_rate for name, done in with_model.items()}
    result = {
        "model": name,
        "characters": len(text),
        "bits_per_character": nats / math.log(2),
        "nats_per_character": nats,
        "adapting_bits_per_character": adapting_nats / math.log(2),
        "adapting_nats_per_character": adapting_nats,
        "latency_ms": latencies,
        "charrepl": {name: _figures(done) for name, done in with_model.items()},
        "plain": {name: _figures(done) for name, done in plain.items()},
        "history": _with_history(text, corpus, coverage),
    }
    if corpus:
        result["ngram"] = _with_ngram(text, corpus, coverage, stage("typing by n-gram"))
    result["seconds"] = round(time.monotonic() - began, 1)
    return result


def _loss(log_probs: Iterable[float], advance: Advance) -> float:
    """Nats per character."""
    losses = []
    for log_prob in log_probs:
        losses.append(-log_prob)
        advance(1)
    return math.fsum(losses) / len(losses)


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
    """With suggestions. They have no probability: one is shown only when enough of the line is typed."""
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


def _with_ngram(text: str, corpus: str, coverage: dict[str, float], advance: Advance) -> dict[str, Any]:
    """With the n-gram model. The rule is that for ghosts, but a cut must be worth more than a threshold."""
    ngram = baselines.NGram(corpus)
    ghosts = []
    for at in range(len(text)):
        ghosts.append(Completion(*ngram.ghost(text[:at], least=MIN_CONFIDENCE)))
        advance(1)

    def tuned(name: str) -> Replay:
        shown = _by_policy(ghosts, name)
        return at_coverage(lambda least: replay(text, lambda at: shown(at, least)), coverage[name], -10, 50)

    return {name: _figures(tuned(name)) for name in coverage}


def _by_policy(ghosts: Sequence[Completion], name: str) -> Callable[..., Shown]:
    """What is shown at a position, if its value is above `least`."""
    cuts: dict[int, Cut] = {}

    def shown(at: int, least: float = 0.0) -> Shown:
        ghost = ghosts[at]
        if at not in cuts:
            cuts[at] = display_policy.best_cut(ghost.text, ghost.log_probs, ASSERTIVENESS[name])
        cut = cuts[at]
        return Shown(ghost.text[: cut.length], cut.probability) if cut.value > least else Shown()

    return shown


def table(result: dict[str, Any]) -> Iterator[str]:
    """A result of `evaluate` as lines for a person."""
    first, whole = (result["latency_ms"][what] for what in ("first_piece", "whole_ghost"))
    yield (
        f"{result['model']}: {result['characters']:,} characters, "
        f"{result['bits_per_character']:.3f} bits per character, "
        f"{result['adapting_bits_per_character']:.3f} adapting to the text, {result['seconds']:.0f} s"
    )
    yield (
        f"ghosts in ms, 50 / 90 / 99 %: first piece {_slashed(first.values(), '.0f')}, "
        f"whole {_slashed(whole.values(), '.0f')}"
    )
    yield ""
    yield f"{'':17}{'keys saved':>10}{'shown':>9}{'first word':>12}{'1, 2, 3 words':>21}{'calibration':>13}"
    yield f"{'':17}{'':10}{'':9}{'right':>12}{'right of all keys':>21}{'error':>13}"
    for writer in _WRITERS:
        for name, figures in result.get(writer, {}).items():
            precision, error = figures["first_word_precision"], figures["calibration_error"]
            matches = [figures[f"exact_match_{words}"] for words in range(1, WORDS + 1)]
            yield (
                f"{writer:10}{name:7}{figures['keystroke_savings']:10.1%}{figures['shown']:9.1%}"
                f"{'-' if precision is None else format(precision, '.1%'):>12}"
                f"{_slashed(matches, '.1%'):>21}"
                f"{'-' if error is None else format(error, '.3f'):>13}"
            )


def _slashed(values: Iterable[float], form: str) -> str:
    return " / ".join(format(value, form) for value in values)


_DRAWN_S = 0.25  # between two drawings
_SURE_S = 1.0  # after this, the time left can be estimated


@contextlib.contextmanager
def progress(characters: int, *, now: Callable[[], float] = time.monotonic) -> Iterator[Stage]:
    """The progress of each stage of `evaluate`: drawn on a terminal, or written to a log now and then."""
    with Display(sys.stderr, now=now) as display, heartbeat(display, now=now) as begins:
        begins("Waiting for the daemon")

        def stage(name: str) -> Advance:
            begins(name)
            began = drawn = now()
            done = 0

            def advance(count: int) -> None:
                nonlocal done, drawn
                done += count
                if now() - drawn >= _DRAWN_S:
                    drawn = now()
                    words = _how_far(name, done, characters, drawn - began)
                    display.draw(bar(done, characters, words, width=display.room[0]))
                    display.now_and_then(lambda: words)

            return advance

        yield stage


def _how_far(name: str, done: int, characters: int, taken_s: float) -> str:
    words = f"{name}: {done:,} of {characters:,} characters"
    if taken_s >= _SURE_S:
        words += f", {duration(taken_s * (characters - done) / done)} left"
    return words
