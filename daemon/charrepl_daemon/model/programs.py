"""What runs on the device: one jitted program that reads typed characters and decodes the ghost.

Every row is a writer. On a processor, the program loops as often as the rows need it to, so that one compiled
program serves any number of typed characters and no work is spent on padding. A GPU would have to tell the
host after each step whether to go on. There the number of steps is known when the program is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from charrepl_daemon.model import adaptation
from charrepl_daemon.model import serving_lstm as network
from charrepl_daemon.model.carry_store import SCRATCH_SLOT, SPARSE, ZERO_SLOT
from charrepl_daemon.model.packed_arguments import Packing
from charrepl_daemon.model.serving_lstm import Carry, Weights
from charrepl_train.text.vocabulary import UNKNOWN

NEVER = -np.inf  # the threshold of a ghost that is not cut
MAX_FED = SPARSE  # tokens a call reads at most: what a key may have to wait for
READS = 1, 4, MAX_FED  # tokens that a GPU's programs read: a key, a few of them, a piece of a paste
PIECE = 8  # characters a call decodes at most: what a newer keystroke may have to wait for
SCORED = 64  # characters a scoring call reads
MAX_ALTERNATIVES = 8
CHECKED = 8, 96  # texts, and characters of each, that tell what lower precision costs


class Rows(NamedTuple):
    """What each row wants; B rows. All traced: no setting ever compiles a new program."""

    tokens: Any  # int32 [B, MAX_FED]: typed characters to feed
    count: Any  # int32 [B]: how many of them
    read: Any  # int32 [B]: the slot to start from
    write: Any  # int32 [B, MAX_FED]: a slot for the carry after each
    keep: Any  # int32 [B, PIECE]: a slot for the carry after each decoded character
    budget: Any  # int32 [B]: characters to decode, at most PIECE
    position: Any  # int32 [B]: of the next character in the text, folded into the random key
    seed: Any  # uint32 [B]
    temperature: Any  # f32 [B]: 0 is greedy
    top_k: Any  # int32 [B]: 0 keeps all
    top_p: Any  # f32 [B]
    rank: Any  # int32 [B]: take the rank-th likeliest as the first character of an alternative, or -1
    least: Any  # f32 [B]: the joint log-probability below which the ghost is cut
    joint: Any  # f32 [B]: of the ghost so far
    seen: Any  # bool [B]: whether the ghost has a visible character yet
    ends: Any  # bool [B, V]: characters that end the ghost once it has one
    said: adaptation.AdaptationText


class Decoded(NamedTuple):
    """What each row got."""

    tokens: Any  # int32 [B, PIECE]
    log_probs: Any  # f32 [B, PIECE], nats, at temperature 1
    count: Any  # int32 [B]: how many of them
    done: Any  # bool [B]: ended by a stop or cut
    joint: Any  # f32 [B]
    seen: Any  # bool [B]


Serve = Callable[[Weights, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def blank_rows(kinds: int) -> Rows:
    """One row that wants nothing, with a vocabulary of so many characters."""

    def one(kind: Any, *shape: int, value: float = 0) -> NDArray[Any]:
        return np.full((1, *shape), value, kind)

    return Rows(
        tokens=one(np.int32, MAX_FED),
        count=one(np.int32),
        read=one(np.int32, value=ZERO_SLOT),
        write=one(np.int32, MAX_FED, value=SCRATCH_SLOT),
        keep=one(np.int32, PIECE, value=SCRATCH_SLOT),
        budget=one(np.int32),
        position=one(np.int32),
        seed=one(np.uint32),
        temperature=one(np.float32),
        top_k=one(np.int32),
        top_p=one(np.float32, value=1),
        rank=one(np.int32, value=-1),
        least=one(np.float32, value=NEVER),
        joint=one(np.float32),
        seen=one(np.bool_),
        ends=one(np.bool_, kinds),
        said=adaptation.no_text(1),
    )


DECODED = Packing(
    Decoded(
        tokens=np.zeros((1, PIECE), np.int32),
        log_probs=np.zeros((1, PIECE), np.float32),
        count=np.zeros(1, np.int32),
        done=np.zeros(1, np.bool_),
        joint=np.zeros(1, np.float32),
        seen=np.zeros(1, np.bool_),
    )
)


def choose(
    log_probs: jax.Array, rows: Rows, first: jax.Array, position: jax.Array, *, always_draws: bool = False
) -> jax.Array:
    """int32 [B]: each row's next character, by its own settings.

    always_draws: draw without asking first whether any row wants it, which a GPU would have to tell the host.
    log_probs: f32 [B, V]. Top-p keeps the smallest set of likeliest characters that holds that much
    of the probability, after top-k and temperature, as Holtzman et al. (2020) define it.
    """
    log_probs = log_probs.at[:, UNKNOWN].set(-jnp.inf)
    greedy = jnp.argmax(log_probs, axis=-1)
    ranked = jax.lax.top_k(log_probs, min(MAX_ALTERNATIVES, log_probs.shape[-1]))[1]
    forced = jnp.take_along_axis(ranked, jnp.maximum(rows.rank, 0)[:, None], axis=1)[:, 0]
    greedy = jnp.where(first & (rows.rank >= 0), forced, greedy)

    def draw() -> jax.Array:
        scaled = log_probs / jnp.maximum(rows.temperature, 1e-6)[:, None]
        order = jnp.argsort(-scaled, axis=-1)
        ordered = jnp.take_along_axis(scaled, order, axis=-1)
        place = jnp.arange(ordered.shape[-1])
        ordered = jnp.where((rows.top_k[:, None] > 0) & (place >= rows.top_k[:, None]), -jnp.inf, ordered)
        probs = jax.nn.softmax(ordered)
        before = jnp.cumsum(probs, axis=-1) - probs
        ordered = jnp.where((before >= rows.top_p[:, None]) & (place > 0), -jnp.inf, ordered)

        def one(seed: jax.Array, position: jax.Array, row: jax.Array) -> jax.Array:
            # The position in the text, not a count of draws: going back and on again redraws the same.
            return jax.random.categorical(jax.random.fold_in(jax.random.key(seed), position), row)

        drawn = jax.vmap(one)(rows.seed, position, ordered)
        return jnp.take_along_axis(order, drawn[:, None], axis=1)[:, 0]

    sampling = rows.temperature > 0
    drawn = draw() if always_draws else jax.lax.cond(jnp.any(sampling), draw, lambda: greedy)
    return jnp.where(sampling, drawn, greedy).astype(jnp.int32)


def serve_program(
    shape: tuple[int, int, int], visible: Any, packing: Packing[Rows], *, reads: int | None = None
) -> Serve:
    """The program: (weights, store [slots, layers x 2 x hidden], rows) to the store and the ghosts.

    reads: if given, take a step for each of so many tokens and of `PIECE` characters, whatever the rows want,
    and mask what they do not: a GPU's host has to read a condition that is computed before it goes on.
    shape: a carry's (layers, 2, hidden); a slot holds one, a row of the store. The store is donated, and
    written in place. The rows come packed, and the ghosts leave as `DECODED` has them.
    """

    def serve(weights: Weights, store: jax.Array, packed: jax.Array) -> tuple[jax.Array, jax.Array]:
        rows = packing.unpacked(packed)
        batch = len(packed)

        def put(store: jax.Array, slots: jax.Array, carry: Carry) -> jax.Array:
            return store.at[slots].set(network.packed(carry), mode="promise_in_bounds")

        def feed(i: jax.Array, state: tuple[Carry, jax.Array]) -> tuple[Carry, jax.Array]:
            carry, store = state
            active = i < rows.count
            after = network.step(weights, carry, rows.tokens[:, i])
            carry = after if batch == 1 and reads is None else network.chosen(active, after, carry)
            return carry, put(store, jnp.where(active, rows.write[:, i], SCRATCH_SLOT), carry)

        carry = network.unpacked(store[rows.read], shape)
        most = rows.count.max() if reads is None else reads
        carry, store = jax.lax.fori_loop(0, most, feed, (carry, store))
        nothing = Decoded(
            tokens=jnp.zeros((batch, PIECE), jnp.int32),
            log_probs=jnp.zeros((batch, PIECE)),
            count=jnp.zeros(batch, jnp.int32),
            done=jnp.zeros(batch, bool),
            joint=rows.joint,
            seen=rows.seen,
        )

        def wants(state: tuple[Any, ...]) -> jax.Array:
            i, out, *_ = state
            return jnp.any(~out.done & (i < rows.budget))

        def decode(state: tuple[Any, ...]) -> tuple[Any, ...]:
            i, out, carry, store, matches = state
            log_probs = jax.nn.log_softmax(network.logits(weights, carry))
            log_probs = adaptation.mixed(log_probs, matches, in_any_order=reads is not None)
            token = choose(log_probs, rows, i == 0, rows.position + i, always_draws=reads is not None)
            log_prob = jnp.take_along_axis(log_probs, token[:, None], axis=1)[:, 0]
            joint = out.joint + log_prob
            active = ~out.done & (i < rows.budget)
            cut = active & (joint < rows.least)
            active &= ~cut
            ends = jnp.take_along_axis(rows.ends, token[:, None], axis=1)[:, 0]
            seen = out.seen | (active & jnp.asarray(visible)[token])
            out = Decoded(
                tokens=out.tokens.at[:, i].set(jnp.where(active, token, out.tokens[:, i])),
                log_probs=out.log_probs.at[:, i].set(jnp.where(active, log_prob, 0)),
                count=out.count + active,
                done=out.done | cut | (active & ends & seen),
                joint=jnp.where(active, joint, out.joint),
                seen=seen,
            )
            carry = network.step(weights, carry, token)  # of rows that are done too: nobody reads it
            store = put(store, jnp.where(active, rows.keep[:, i], SCRATCH_SLOT), carry)
            return i + 1, out, carry, store, adaptation.grown(matches, token)

        state: tuple[Any, ...] = jnp.int32(0), nothing, carry, store, adaptation.matched(rows.said)
        if reads is None:
            state = jax.lax.while_loop(wants, decode, state)
        else:
            state = jax.lax.fori_loop(0, PIECE, lambda _, state: decode(state), state)
        _, out, _, store, _ = state
        return store, DECODED.packed(out)

    return serve


def score_program(shape: tuple[int, int, int]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """The program: (weights, carry, tokens int32 [SCORED], count, said) to carry and log-probabilities.

    carry: f32 [1, layers x 2 x hidden]; said: of one row; log-probabilities: f32 [SCORED], nats.
    """

    def score(
        weights: Weights,
        carry: jax.Array,
        tokens: jax.Array,
        count: jax.Array,
        said: adaptation.AdaptationText,
    ) -> tuple[jax.Array, jax.Array]:
        def read(i: jax.Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
            carry, log_probs, matches = state
            token = tokens[i][None]
            mixed = adaptation.mixed(jax.nn.log_softmax(network.logits(weights, carry)), matches)
            log_probs = log_probs.at[i].set(mixed[0, token[0]])
            return network.step(weights, carry, token), log_probs, adaptation.grown(matches, token)

        state = network.unpacked(carry, shape), jnp.zeros(SCORED), adaptation.matched(said)
        after, log_probs, _ = jax.lax.fori_loop(0, count, read, state)
        return network.packed(after), log_probs

    return score


def cost_program(shape: tuple[int, int, int]) -> Callable[..., jax.Array]:
    """The program: (weights, others, newline, seed) to what the others lose, f32, nats a character.

    That is the divergence of their distributions from those of `weights`, on text that these write
    themselves: what the others would lose on it in expectation.
    """

    def cost(weights: Weights, others: Weights, newline: jax.Array, seed: jax.Array) -> jax.Array:
        key = jax.random.key(seed)

        def one(i: jax.Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
            tokens, carry, other, nats = state
            carry, other = network.step(weights, carry, tokens), network.step(others, other, tokens)
            right = jax.nn.log_softmax(network.logits(weights, carry))
            wrong = jax.nn.log_softmax(network.logits(others, other))
            nats += jnp.sum(jnp.exp(right) * (right - wrong), axis=-1).mean()
            tokens = jax.random.categorical(jax.random.fold_in(key, i), right)
            return tokens.astype(jnp.int32), carry, other, nats

        zero = network.unpacked(jnp.zeros((CHECKED[0], math.prod(shape))), shape)
        state = (jnp.full(CHECKED[0], newline, jnp.int32), zero, zero, jnp.float32(0))
        return jax.lax.fori_loop(0, CHECKED[1], one, state)[-1] / CHECKED[1]

    return cost
