"""How much of a ghost to show: as much as saves the most keys, minus the cost of reading it.

It would be wrong to cut every ghost at the same joint probability. A long word that is right one time in
three saves more than a short word that is right every second time. And a wrong ghost costs its reader a
glance. So each length to which a ghost could be cut has a value in keys, and the best length is shown if
its value is positive.

A value does not depend on anything after the cut. So a ghost that streams in only grows on the screen. In
the end it is the same as if the whole ghost had arrived in one piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charrepl.ghost.state import next_word
from charrepl.text import graphemes

# Ghosts are asked for down to this joint probability. Less likely ones save almost nothing.
MIN_CONFIDENCE = 0.02
# A key that takes a single character saves nothing.
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """How eagerly ghosts are shown.

    Reading a first word that is right is worth `weight * (1 - precision)` keys, in addition to the keys that
    it saves. Reading a wrong one costs `weight * precision`.
    """

    precision: float  # the share of right first words at which reading breaks even
    weight: float  # keys


ASSERTIVENESS = {
    "quiet": Policy(precision=0.6, weight=6.0),
    "normal": Policy(precision=0.5, weight=3.2),
    "bold": Policy(precision=0.5, weight=0.25),
}
# For a writer who has stopped to think: a glance costs nothing, so anything that may save a key is shown.
PAUSED = Policy(precision=0.5, weight=0.0)
PAUSED_CONFIDENCE = 0.002


@dataclass(frozen=True, slots=True)
class Cut:
    """A ghost cut to `length` characters, 0 for none."""

    length: int = 0
    probability: float = 0.0  # that the whole cut ghost is right
    value: float = -math.inf  # keys


def best_cut(ghost: str, log_probs: Sequence[float], policy: Policy) -> Cut:
    """The most valuable cut of a ghost, even if its value is not positive.

    log_probs: nats, one for each character of `ghost`.
    """
    word = len(next_word(ghost))  # of `ghost[:length]` the first word is `ghost[: min(word, length)]`
    best = Cut()
    joint = 0.0
    first = 0.0  # the probability of the first word, or of its part before the cut
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
    # Never within a grapheme cluster, and never shorter, because a ghost on the screen only grows.
    end = graphemes.end(ghost, best.length)
    if end > best.length:
        best = Cut(end, best.probability * math.exp(math.fsum(log_probs[best.length : end])), best.value)
    return best


def shown(ghost: str, log_probs: Sequence[float], policy: Policy) -> int:
    """How many characters of a ghost to show; see `best_cut` for the arguments.

    The whole ghost, if the daemon gave no log-probabilities.
    """
    if not log_probs:
        return len(ghost)
    cut = best_cut(ghost, log_probs, policy)
    return cut.length if cut.value > 0 else 0


def cuts(ghost: str, log_probs: Sequence[float], policy: Policy, *, final: bool) -> tuple[int, ...]:
    """The ends of the parts of a ghost. Each part is shown when the part before it is typed.

    Each part is what `shown` gives for the text up to there. While more of the ghost is to come, only the
    first part. What comes after the last part is not worth showing.
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
