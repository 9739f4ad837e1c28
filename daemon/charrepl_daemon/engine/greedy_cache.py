"""What the model writes after a text, by session. If it is asked for again, no device is needed.

A cache like that of the carries: its answers depend only on the text, and losing them only costs time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import msgspec
import numpy as np

from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.session_texts import Tokens, common

_MOST = 512  # sessions


class _Path:
    """A text and what follows it: from `begin` on, `decoding` chose each of `tokens`."""

    def __init__(self, tokens: Tokens, decoding: Decoding) -> None:
        self.tokens = tokens
        self.begin = len(tokens)
        self.log_probs: list[float] = []
        self.decoding = decoding

    def runs_through(self, tokens: Tokens, decoding: Decoding) -> bool:
        """Whether the path says what `decoding` chooses after `tokens`, or ends with them."""
        count = len(tokens)
        return (
            self.begin <= count <= len(self.tokens)
            and self.decoding == decoding
            and common(self.tokens, tokens) == count
        )


class GreedyCache:
    """The last path of each session. The least recently used is dropped first."""

    def __init__(self) -> None:
        self._paths: OrderedDict[Hashable, _Path] = OrderedDict()

    def after(self, key: Hashable, tokens: Tokens, decoding: Decoding) -> tuple[Tokens, list[float]]:
        """What `decoding` chooses after `tokens`, as far as is known, and the log-probabilities."""
        path = self._paths.get(key)
        if path is None or not path.runs_through(tokens, _alike(decoding)):
            return tokens[:0], []
        return path.tokens[len(tokens) :], path.log_probs[len(tokens) - path.begin :]

    def add(
        self,
        key: Hashable,
        tokens: Tokens,
        decoding: Decoding,
        chosen: Tokens,
        log_probs: Sequence[float],
    ) -> None:
        """Records that these were chosen after `tokens`, each with its log-probability in nats."""
        path = self._paths.get(key)
        if path is None or not path.runs_through(tokens, _alike(decoding)):
            path = self._paths[key] = _Path(tokens, _alike(decoding))
        self._paths.move_to_end(key)
        if len(self._paths) > _MOST:
            self._paths.popitem(last=False)
        if common(path.tokens[len(tokens) :], chosen) == len(chosen):
            return  # perhaps more is known already
        path.tokens = np.concatenate((tokens, chosen))
        del path.log_probs[len(tokens) - path.begin :]
        path.log_probs += log_probs


def _alike(decoding: Decoding) -> Decoding:
    """One decoding for all that choose the same."""
    if decoding.temperature:
        return decoding
    return msgspec.structs.replace(decoding, top_k=0, top_p=1.0, seed=0)  # without effect then
