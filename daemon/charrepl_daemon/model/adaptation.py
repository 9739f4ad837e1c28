"""Adaptation: what the text itself says of its next character, mixed into what the model says.

Every earlier place in the window whose last characters are those before the cursor, `l` of them, votes
with weight 4^l for the character that followed it. The more weight the votes have and the more they agree,
the larger is their share of the mixture; the surer the model, the smaller. Matches that are mixed in by a
logistic function of how good they are come from lossless compression (Mahoney, "Adaptive Weighing of Context
Models for Lossless Data Compression", 2005).

All of it is a function of the window's tokens, including decoded ones. So when a part of a ghost is taken,
the rest of it stays the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from charrepl.wire.context_window import STRIDE

WINDOW = 2 * STRIDE  # tokens of a window at most, the implicit newline included; what goes beyond has no vote
LONGEST = 12  # characters of a match that count

# The share is the logistic function of the sum of these. BIAS and AGREED are fitted, and rounded, by
# tests/bench/adapt_fit.py: to the dev slice of the plays and, so that what a better model knows well gets no
# worse, to text of its training with the odds of each true character raised 1.5-fold. SURE is set by hand:
# it costs 0.2 % of the dev loss, and a model that knows a text by heart is outvoted less.
DOUBT = 8.0  # votes for nothing in particular
BIAS = -5.0
AGREED = -1.5  # times ln(1.02 - the share of the votes that the character with the most has)
SURE = 0.3  # times ln(1.001 - the probability of the character that the model thinks likeliest)

_LONG = LONGEST // 2  # characters of a match from which its vote is counted apart
_NOTHING = -1  # a token that is like no other


class AdaptationText(NamedTuple):
    """The window of each row's text; B rows. One with a length of 0 does not adapt."""

    text: Any  # int32 [B, WINDOW]: its tokens
    length: Any  # int32 [B]: how many there are, those beyond WINDOW too
    tail: Any  # int32 [B, LONGEST]: the last of them, at the end


class Matches(NamedTuple):
    """How the text before each place compares with the text before the cursor. It grows with the text."""

    alike: jax.Array  # int32 [B, WINDOW]: how many characters before a place equal those before the cursor
    text: jax.Array
    length: jax.Array


def no_text(batch: int) -> AdaptationText:
    """Rows that do not adapt, to be filled in."""
    return AdaptationText(
        text=np.zeros((batch, WINDOW), np.int32),
        length=np.zeros(batch, np.int32),
        tail=np.full((batch, LONGEST), _NOTHING, np.int32),
    )


def fill(said: AdaptationText, row: int, tokens: NDArray[np.int32]) -> None:
    """Makes a row adapt to a window's tokens."""
    text, tail = tokens[:WINDOW], tokens[-LONGEST:]
    said.text[row, : len(text)] = text
    said.length[row] = len(tokens)
    said.tail[row, LONGEST - len(tail) :] = tail


def matched(said: AdaptationText) -> Matches:
    """The matches at the end of each row's text."""
    # A match is found in the tail alone, whatever was before it.
    nothing = Matches(jnp.zeros(said.text.shape, jnp.int32), said.text, said.length)
    found: Matches = jax.lax.fori_loop(
        0, LONGEST, lambda i, matches: _longer(matches, said.tail[:, i]), nothing
    )
    return found


def _longer(matches: Matches, token: jax.Array) -> Matches:
    alike = jnp.where(matches.text == token[:, None], jnp.minimum(matches.alike + 1, LONGEST), 0)
    # What was before a place is now before the next one.
    return matches._replace(alike=jnp.pad(alike[:, :-1], ((0, 0), (1, 0))))


def grown(matches: Matches, token: jax.Array) -> Matches:
    """The matches after one more character each, int32 [B]."""
    text = matches.text.at[jnp.arange(len(token)), matches.length].set(token, mode="drop")
    return _longer(matches, token)._replace(text=text, length=matches.length + (matches.length > 0))


def votes_in_order(alike: jax.Array, after: jax.Array, *, kinds: int) -> jax.Array:
    """f32 [B, kinds]: the votes of places, int32 [B, WINDOW] each, for the characters after them.

    The sum is rounded at each place, so that it depends on their order.
    """

    def counted(weights: jax.Array, after: jax.Array) -> jax.Array:
        return jnp.zeros(kinds).at[after].add(weights, mode="promise_in_bounds")

    votes: jax.Array = jax.vmap(counted)(jnp.where(alike > 0, jnp.exp2(2.0 * alike), 0), after)
    return votes


def votes_in_any_order(alike: jax.Array, after: jax.Array, *, kinds: int) -> jax.Array:
    """As `votes_in_order`, but exact until the end: a GPU adds in an order that changes from call to call."""

    def counted(weights: jax.Array, after: jax.Array) -> jax.Array:
        return jnp.zeros((kinds, 2), jnp.int32).at[after].add(weights, mode="promise_in_bounds")

    # 4^12 times WINDOW is beyond 32 bits, so that long matches are counted apart, in units of 4^_LONG.
    short = jnp.where((alike > 0) & (alike <= _LONG), 1 << (2 * jnp.minimum(alike, _LONG)), 0)
    long = jnp.where(alike > _LONG, 1 << (2 * jnp.maximum(alike - _LONG, 0)), 0)
    sums = jax.vmap(counted)(jnp.stack([short, long], axis=-1), after)
    votes: jax.Array = sums[..., 0].astype(jnp.float32) + sums[..., 1] * jnp.float32(4**_LONG)
    return votes


def mixed(log_probs: jax.Array, matches: Matches, *, in_any_order: bool = False) -> jax.Array:
    """f32 [B, V]: the model's log-probabilities, in nats, with the votes mixed in.

    in_any_order: as `votes_in_any_order` counts them.
    """
    kinds = log_probs.shape[1]

    # The place after the last character is the cursor's own.
    counts = (jnp.arange(WINDOW) < matches.length[:, None]) & (matches.alike > 0)
    alike = jnp.where(counts, matches.alike, 0)
    votes = (votes_in_any_order if in_any_order else votes_in_order)(alike, matches.text, kinds=kinds)
    total = votes.sum(axis=1, keepdims=True)
    agreed = votes.max(axis=1, keepdims=True) / (total + DOUBT)
    sureness = jnp.exp(log_probs.max(axis=1, keepdims=True))
    score = BIAS + AGREED * jnp.log(1.02 - agreed) + SURE * jnp.log(1.001 - sureness)
    own = log_probs + jax.nn.log_sigmoid(-score)
    theirs = jnp.log(votes / total) + jax.nn.log_sigmoid(score)
    return jnp.where(total > 0, jnp.logaddexp(own, theirs), log_probs)
