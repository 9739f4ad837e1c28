"""What a writer could use without our model: suggestions from a history, and an n-gram model. No I/O."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator

ORDER = 5


def history_suggestions(history: str, text: str) -> Iterator[str]:
    """For each position of `text`, the suggestion of prompt_toolkit's AutoSuggestFromHistory, or "".

    That is the rest of the newest line that begins with the line being typed, if that has a visible
    character. The history consists of the lines of `history`, then the lines of `text` typed so far.
    """
    newest = {line: order for order, line in enumerate(history.splitlines())}
    old = sorted(newest)
    typed: list[str] = []
    for line in text.split("\n"):
        # There are fewer and fewer candidates as the line is typed.
        own = list(reversed(typed))
        low, high = 0, len(old)
        for length in range(len(line) + 1):
            prefix = line[:length]
            own = [other for other in own if other.startswith(prefix)]
            low = bisect_left(old, prefix, low, high)
            high = bisect_left(old, prefix + "\U0010ffff", low, high)
            if not prefix.strip():
                yield ""
            elif own:
                yield own[0][length:]
            elif low < high:
                yield max(old[low:high], key=newest.__getitem__)[length:]
            else:
                yield ""
        typed.append(line)


class NGram:
    """A character n-gram: the next character by the ORDER before it, backing off to fewer.

    Smoothed as in Witten and Bell (1991, method C): if n characters of k kinds followed a context, it leaves
    k / (n + k) to the next shorter context.
    """

    def __init__(self, corpus: str) -> None:
        self._after: defaultdict[str, dict[str, int]] = defaultdict(dict)
        width = ORDER + 1
        padded = "\n" * ORDER + corpus
        grams = Counter(padded[at : at + width] for at in range(len(padded) - ORDER))
        for gram, count in grams.items():
            char = gram[ORDER]
            for start in range(width):
                after = self._after[gram[start:ORDER]]
                after[char] = after.get(char, 0) + count
        self._likeliest: dict[str, tuple[str, float]] = {}

    def ghost(self, before: str, *, max_chars: int = 48, least: float = 0.0) -> tuple[str, list[float]]:
        """The likeliest continuation, and the log-probability of each character in nats.

        It ends where the daemon would end it: before its joint probability falls below `least`, or after the
        first newline that follows a visible character.
        """
        context = ("\n" * ORDER + before[-ORDER:])[-ORDER:]
        ghost, log_probs, joint = "", [], 1.0
        while len(ghost) < max_chars:
            char, probability = self._next(context)
            joint *= probability
            if joint < least or not char:
                break
            ghost += char
            log_probs.append(math.log(probability))
            context = context[1:] + char
            if char == "\n" and ghost.strip():
                break
        return ghost, log_probs

    def _next(self, context: str) -> tuple[str, float]:
        """The likeliest character after a context of ORDER characters, and its probability."""
        found = self._likeliest.get(context)
        if found is None:
            probabilities: dict[str, float] = {}
            left = 1.0
            for start in range(ORDER + 1):
                after = self._after.get(context[start:])
                if not after:
                    continue
                total, kinds = sum(after.values()), len(after)
                for char, count in after.items():
                    probabilities[char] = probabilities.get(char, 0.0) + left * count / (total + kinds)
                left *= kinds / (total + kinds)
            found = max(probabilities.items(), key=lambda item: item[1], default=("", 0.0))
            self._likeliest[context] = found
        return found


def without(corpus: str, text: str) -> str:
    """`corpus` without `text`, if it contains that: no history contains what you are going to write."""
    at = corpus.find(text)
    return corpus if at < 0 else corpus[:at] + corpus[at + len(text) :]
