"""What to show of a ghost: what is expected to save the most keys, for what it costs to read.

A joint probability that every ghost is cut at asks the wrong question: a long word that is right
one time in three saves more than a short one that is right every other time, and a wrong ghost
costs its reader a glance. So each length that a ghost could be cut to has a value in keys, and the
best one is shown if it is worth more than nothing.

A value depends on nothing behind the cut. So of a ghost that streams in, what is shown only ever
grows, and where the whole of it has arrived, it is what would have been shown of it at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charrepl.ghost.state import next_word
from charrepl.text import graphemes

# The joint probability down to which ghosts are asked for: what is less likely saves next to nothing.
MIN_CONFIDENCE = 0.02
# A key that takes a single character saves nothing.
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """How forward ghosts are.

    Reading a first word that turns out right is worth `weight * (1 - precision)` keys, on top of
    those it saves; reading a wrong one costs `weight * precision`.
    """

    precision: float  # the share of right first words at which reading them breaks even
    weight: float  # keys


ASSERTIVENESS = {
    "quiet": Policy(precision=0.6, weight=6.0),
    "normal": Policy(precision=0.5, weight=3.2),
    "bold": Policy(precision=0.5, weight=0.25),
}
# Of a writer who has stopped to think: a glance costs nothing, and whatever may save a key is shown.
PAUSED = Policy(precision=0.5, weight=0.0)
PAUSED_CONFIDENCE = 0.002


@dataclass(frozen=True, slots=True)
class Cut:
    """A ghost cut to `length` characters, 0 for none."""

    length: int = 0
    probability: float = 0.0  # that all of it is right
    value: float = -math.inf  # keys


def best_cut(ghost: str, log_probs: Sequence[float], policy: Policy) -> Cut:
    """The most valuable cut of a ghost, be its value above zero or not.

    log_probs: nats, one for each character of `ghost`.
    """
    word = len(next_word(ghost))  # of `ghost[:length]` the first word is `ghost[: min(word, length)]`
    best = Cut()
    joint = 0.0
    first = 0.0  # the probability of the first word, or of what the cut leaves of it
    for length, log_prob in enumerate(log_probs, 1):
        joint += log_prob
        probability = math.exp(joint)
        if length <= word:
            first = probability
        if length < SHORTEST:
            continue
        kept = min(length, word)
        saved = first * (kept - 1) + probability * (length - kept)
        value = saved + policy.weight * (first - policy.precision)
        if value > best.value:
            best = Cut(length, probability, value)
    # Not within what people see as one character, and never shorter: a ghost on the screen only grows.
    end = graphemes.end(ghost, best.length)
    if end > best.length:
        best = Cut(end, best.probability * math.exp(math.fsum(log_probs[best.length : end])), best.value)
    return best


def shown(ghost: str, log_probs: Sequence[float], policy: Policy) -> int:
    """How many characters of a ghost to show; see `best_cut` for the arguments.

    All of it, where the daemon gave no log-probabilities.
    """
    if not log_probs:
        return len(ghost)
    cut = best_cut(ghost, log_probs, policy)
    return cut.length if cut.value > 0 else 0


def cuts(ghost: str, log_probs: Sequence[float], policy: Policy, *, final: bool) -> tuple[int, ...]:
    """Where the parts of a ghost end that are shown one after the other, each once the last is typed.

    Each is what `shown` makes of the text up to there; only the first, while more is to come. What is
    behind the last is not worth showing.
    """
    ends: list[int] = []
    at = 0
    while at < len(ghost):
        length = shown(ghost[at:], log_probs[at:], policy)
        if not length:
            break
        at += length
        ends.append(at)
        if not final:
            break
    return tuple(ends)
