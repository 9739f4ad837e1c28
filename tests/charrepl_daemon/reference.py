"""The model in float64 numpy: what every engine has to agree with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from charrepl.wire.context_window import window_start
from charrepl_daemon.model import adaptation
from charrepl_train.model_directory import loaded_model
from tests.float64_lstm import as_float64, cell

MARGIN = 1e-3  # nats: two candidates closer than this may change places in another batch


class Reference:
    """The model in float64 numpy, one character at a time, as a textbook writes it."""

    def __init__(self, directory: Path) -> None:
        loaded = loaded_model.load(directory)
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
        output = self.params["output"]
        read = np.concatenate([h for h, _ in carry])[-len(output["w"]) :]  # the last layer's h, or all
        return log_softmax(read @ output["w"] + output["b"])

    def read(self, text: str):
        """The carry after an implicit newline and `text`, read in its window."""
        carry = self.start()
        for token in self.vocabulary.encode("\n" + text[window_start(len(text)) :]):
            carry = self.step(carry, token)
        return carry


def log_softmax(logits):
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def adapted(log_probs, tokens):
    """What adapting makes of the model's log-probabilities after a window's tokens, by counting."""
    votes = np.zeros(len(log_probs))
    for place in range(1, min(len(tokens), adaptation.WINDOW)):
        length = 0
        while length < min(place, adaptation.LONGEST) and tokens[place - 1 - length] == tokens[-1 - length]:
            length += 1
        votes[tokens[place]] += 4.0**length if length else 0.0
    if not votes.any():
        return log_probs
    score = adaptation.BIAS + adaptation.AGREED * np.log(
        1.02 - votes.max() / (votes.sum() + adaptation.DOUBT)
    )
    score += adaptation.SURE * np.log(1.001 - np.exp(log_probs.max()))
    share = 1 / (1 + np.exp(-score))
    return np.log((1 - share) * np.exp(log_probs) + share * votes / votes.sum())


def greedy_difference(reference, text, written, *, adapts=False, tolerance=MARGIN):
    """Walks a greedy ghost; the margin where the reference would have chosen otherwise, or None."""
    carry = reference.read(text)
    tokens = reference.vocabulary.encode("\n" + text[window_start(len(text)) :]).tolist()
    for char, log_prob in zip(written.text, written.log_probs, strict=True):
        expected = reference.log_probs(carry)
        if adapts:
            expected = adapted(expected, tokens)
        token = int(reference.vocabulary.encode(char)[0])
        if difference := choice_difference(expected, token, log_prob, tolerance):
            return difference
        carry = reference.step(carry, token)
        tokens.append(token)
    return None


def choice_difference(expected, token, log_prob, tolerance=MARGIN):
    """By how much another is likelier than `token`, which was written with `log_prob`; 0 if none is."""
    assert token  # the first stands for all unknown ones: it is never written
    assert abs(expected[token] - log_prob) < tolerance
    return expected[1:].max() - expected[token]


def beam_search(reference, text, *, beams, max_chars, ends=""):
    """The likeliest continuation that so many beams find, and its joint log-probability in nats."""
    best = [(0.0, "", reference.read(text), False)]
    for _ in range(max_chars):
        if best[0][3]:
            break
        grown = [(score, written, carry, -1) for score, written, carry, ended in best if ended]
        for score, written, carry, ended in best:
            if not ended:
                log_probs = reference.log_probs(carry)
                grown += [(score + log_probs[t], written, carry, t) for t in range(1, len(log_probs))]
        grown.sort(key=lambda one: -one[0])
        best = []
        for score, written, carry, token in grown[:beams]:
            if token < 0:
                best.append((score, written, carry, True))
                continue
            char = str(reference.vocabulary.decode(np.array([token])))
            ended = char in ends and bool((written + char).strip())
            best.append((score, written + char, reference.step(carry, token), ended))
    return best[0][1], best[0][0]
