"""The model in float64 numpy: what every engine has to agree with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from charrepl.window import window_start
from charrepl_train import checkpoint
from tests.textbook import as_float64, cell

MARGIN = 1e-3  # nats: two candidates closer than this may change places in another batch


class Reference:
    """The model in float64 numpy, one character at a time, as a textbook writes it."""

    def __init__(self, directory: Path) -> None:
        loaded = checkpoint.load_model(directory)
        self.vocabulary = loaded.vocabulary
        self.params = as_float64(loaded.params)

    def start(self) -> list[tuple[np.ndarray, np.ndarray]]:
        size = len(self.params["layers"]["0"]["w_hh"])
        return [(np.zeros(size), np.zeros(size)) for _ in self.params["layers"]]

    def step(self, carry, token):
        x, after = np.zeros(len(self.vocabulary)), []
        x[token] = 1
        for name in sorted(self.params["layers"], key=int):
            layer, (h, c) = self.params["layers"][name], carry[int(name)]
            x, c = cell(layer, x, h, c)
            after.append((x, c))
        return after

    def log_probs(self, carry):
        logits = carry[-1][0] @ self.params["output"]["w"] + self.params["output"]["b"]
        return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()

    def read(self, text: str):
        """The carry after an implicit newline and `text`, read in its window."""
        carry = self.start()
        for token in self.vocabulary.encode("\n" + text[window_start(len(text)) :]):
            carry = self.step(carry, token)
        return carry


def greedy_difference(reference, text, written, *, tolerance=MARGIN):
    """Walks a greedy ghost; the margin where the reference would have chosen otherwise, or None."""
    carry = reference.read(text)
    for char, log_prob in zip(written.text, written.log_probs, strict=True):
        expected = reference.log_probs(carry)
        expected[0] = -np.inf
        token = int(reference.vocabulary.encode(char)[0])
        assert abs(expected[token] - log_prob) < tolerance
        if token != expected.argmax():
            return expected.max() - expected[token]
        carry = reference.step(carry, token)
    return None
