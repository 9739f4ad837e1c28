r"""A typist who knows what comes next, and how many keys ghosts save them. No I/O.

At each position, the ghost for the text so far is shown. If the whole ghost (2 characters or more) comes
next in the text, one key takes it. Otherwise, if its first word (`\s*\S+\s`) comes next, one key takes that.
Otherwise one key types one character.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from charrepl.ghost.state import next_word

BINS = 10
WORDS = 3
# A key that takes a single character saves nothing.
_LEAST = 2


class Shown(NamedTuple):
    """A ghost as it is shown, empty for none, and the probability that the whole ghost is right."""

    text: str = ""
    probability: float = 0.0


@dataclass(slots=True)
class Bin:
    """Ghosts of about the same confidence."""

    ghosts: int = 0
    probability: float = 0.0  # the sum of their probabilities
    right: int = 0


@dataclass(slots=True)
class Replay:
    """The result of typing a text with ghosts."""

    characters: int = 0
    keys: int = 0  # also the number of positions at which a ghost could be shown
    shown: int = 0
    right: list[int] = field(default_factory=lambda: [0] * WORDS)  # ghosts whose first 1, 2, ... words are
    bins: list[Bin] = field(default_factory=lambda: [Bin() for _ in range(BINS)])

    @property
    def savings(self) -> float:
        """The share of the characters that needed no key of their own."""
        return 1 - self.keys / self.characters if self.characters else 0.0

    @property
    def shown_rate(self) -> float:
        """The share of the positions at which a ghost was shown."""
        return self.shown / self.keys if self.keys else 0.0

    @property
    def precision(self) -> float | None:
        """The share of the shown ghosts whose first word was right; None if none was shown."""
        return self.right[0] / self.shown if self.shown else None

    def exact_match(self, words: int) -> float:
        """The share of the positions at which the first `words` words of a shown ghost were right."""
        return self.right[words - 1] / self.keys if self.keys else 0.0

    @property
    def calibration_error(self) -> float | None:
        """How much the ghosts' probabilities differ from the share of right ghosts, over bins of equal width.

        The mean of the bins' differences, weighted by the number of ghosts (expected calibration error;
        Naeini et al., 2015). None if none was shown.
        """
        if not self.shown:
            return None
        return sum(abs(b.probability - b.right) for b in self.bins) / self.shown


def replay(text: str, ghost: Callable[[int], Shown]) -> Replay:
    """The result of typing `text`, if `ghost(n)` is shown after its first n characters."""
    result = Replay(characters=len(text))
    at = 0
    while at < len(text):
        shown = ghost(at)
        at += _advance(text, at, shown, result)
        result.keys += 1
    return result


def _advance(text: str, at: int, shown: Shown, result: Replay) -> int:
    """How many characters the next key adds. Counts what is shown."""
    if not shown.text:
        return 1
    result.shown += 1
    end = at
    for words in range(WORDS):
        word = next_word(shown.text[end - at :])
        if not word or not text.startswith(word, end):
            break
        end += len(word)
        result.right[words] += 1
    right = text.startswith(shown.text, at)
    bin_ = result.bins[min(int(shown.probability * BINS), BINS - 1)]
    bin_.ghosts += 1
    bin_.probability += shown.probability
    bin_.right += right
    if right:
        return len(shown.text)
    first = next_word(shown.text)
    return len(first) if len(first) >= _LEAST and text.startswith(first, at) else 1


def at_coverage(replay_at: Callable[[float], Replay], shown_rate: float, low: float, high: float) -> Replay:
    """Finds the threshold at which a replay shows a ghost about as often as `shown_rate`. Returns the replay.

    The higher the threshold of `replay_at(threshold)`, the less it shows. The search is from `low` to `high`.
    If not even `low` shows a ghost that often, it returns the replay at `low`.
    """
    best = replay_at(low)
    if best.shown_rate <= shown_rate:
        return best
    for _ in range(16):
        middle = (low + high) / 2
        tried = replay_at(middle)
        if abs(tried.shown_rate - shown_rate) <= abs(best.shown_rate - shown_rate):
            best = tried
        if tried.shown_rate > shown_rate:
            low = middle
        else:
            high = middle
    return best
