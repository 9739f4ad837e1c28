"""The numbers in `adaptation.py` of the daemon, fitted: `python -m tests.bench.adapt_fit PLAYS [MODEL]`.

Reads the dev slice of a corpus, and two stretches of its training part, with the bundled model, in the
windows in which it serves; takes some minutes. The corpus is cut as it was when the model learnt it. On the
training part each true character's odds are raised 1.5-fold, as if the model were a better one: what adapting
costs on text that it knows so well counts with what it gains on the dev slice.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # comes with jax

from charrepl.wire.context_window import STRIDE, window_start
from charrepl_daemon.model import adaptation
from charrepl_daemon.model import serving_lstm as network
from charrepl_train.model_directory import loaded_model
from charrepl_train.model_directory.loaded_model import LoadedModel
from charrepl_train.text import split

BUNDLED = Path(__file__).parents[2] / "charrepl" / "bundled" / "shakespeare"
BETTER = 1.5
KNOWN = 0.7  # what each stretch of training text counts for, beside the dev slice


class Seen(NamedTuple):
    """What is known at each character of a text; [characters] each."""

    model: NDArray[np.float64]  # the model's probability of the character that came
    votes: NDArray[np.float64]  # the votes' share for it, 0 where there are none
    agreed: NDArray[np.float64]
    sureness: NDArray[np.float64]
    voted: NDArray[np.bool_]

    def loss(self, bias: float, agreed: float) -> float:
        """Nats a character, adapting."""
        score = bias + agreed * np.log(1.02 - self.agreed) + adaptation.SURE * np.log(1.001 - self.sureness)
        share = self.voted / (1 + np.exp(-score))
        return float(-np.log((1 - share) * self.model + share * self.votes).mean())


def log_probs(model: LoadedModel, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """f32 [characters, V]: of every character in its window, in nats."""
    weights = network.prepared(model.params, "f32")
    shape = model.config.model.layers, 2, model.config.model.hidden_size
    strides = -(-len(ids) // STRIDE)
    tokens = np.zeros((2 * STRIDE, strides), np.int32)
    for n in range(strides):
        start = window_start(n * STRIDE)
        text = ids[start : (n + 1) * STRIDE - 1]
        tokens[: len(text) + 1, n] = [model.vocabulary.newline, *text]

    @jax.jit
    def read(weights: network.Weights, tokens: jax.Array) -> jax.Array:
        def step(carry: network.Carry, token: jax.Array) -> tuple[network.Carry, jax.Array]:
            carry = network.step(weights, carry, token)
            return carry, jax.nn.log_softmax(network.logits(weights, carry))

        zero = network.unpacked(jnp.zeros((tokens.shape[1], math.prod(shape))), shape)
        return jax.lax.scan(step, zero, tokens)[1]

    found = [np.asarray(read(weights, tokens[:, n : n + 16])) for n in range(0, strides, 16)]
    rows = np.concatenate(found, axis=1)
    parts = [rows[n * STRIDE - window_start(n * STRIDE) :, n][:STRIDE] for n in range(strides)]
    return np.concatenate(parts)[: len(ids)]


def seen(model: LoadedModel, text: str, *, better: float = 1.0) -> Seen:
    """What is known at each character; the odds of each true one are raised `better`-fold."""
    ids = model.vocabulary.encode(text)
    every = np.arange(len(ids))
    probs = np.exp(log_probs(model, ids).astype(np.float64))
    probs[every, ids] *= better
    probs /= probs.sum(axis=1, keepdims=True)
    votes, agreed = np.zeros(len(ids)), np.zeros(len(ids))
    for at in range(len(ids)):
        window = np.concatenate([[model.vocabulary.newline], ids[window_start(at) : at]])
        lengths = np.zeros(len(window) - 1, int)  # for each place but the first
        alike = np.ones(len(window) - 1, bool)
        for length in range(1, min(adaptation.LONGEST, len(window) - 1) + 1):
            alike[: length - 1] = False
            alike[length - 1 :] &= window[: len(window) - length] == window[-length]
            lengths[alike] = length
        weights = np.bincount(window[1:], np.where(lengths, 4.0**lengths, 0), probs.shape[1])
        if weights.any():
            votes[at] = weights[ids[at]] / weights.sum()
            agreed[at] = weights.max() / (weights.sum() + adaptation.DOUBT)
    return Seen(probs[every, ids], votes, agreed, probs.max(axis=1), agreed > 0)


def main() -> None:
    """Prints the fitted numbers, and what comes of them and of those in use."""
    plays = Path(sys.argv[1]).read_text(encoding="utf-8")
    model = loaded_model.load(Path(sys.argv[2]) if len(sys.argv) > 2 else BUNDLED)
    parts = split.split([len(plays)], model.config.training)
    chosen_by, training = ("".join(plays[slice(*cut)] for cut in part) for part in (parts.dev, parts.train))
    scraps = "\n".join(random.Random(2).choices(training.splitlines(), k=900))
    dev = seen(model, chosen_by)
    known = [seen(model, text, better=BETTER) for text in (training[2_000_000:2_030_000], scraps)]

    def loss(numbers: NDArray[np.float64]) -> float:
        return dev.loss(*numbers) + KNOWN * sum(part.loss(*numbers) for part in known)

    fitted = minimize(loss, [adaptation.BIAS, adaptation.AGREED], method="Nelder-Mead").x
    print(f"BIAS {fitted[0]:.3f} AGREED {fitted[1]:.3f}")
    for name, part in zip(("dev", "training", "scraps"), (dev, *known), strict=True):
        plain = -np.log(part.model).mean()
        print(
            f"{name}: {plain:.4f} plain, {part.loss(adaptation.BIAS, adaptation.AGREED):.4f} as it is, "
            f"{part.loss(*fitted):.4f} as fitted"
        )


if __name__ == "__main__":
    main()
