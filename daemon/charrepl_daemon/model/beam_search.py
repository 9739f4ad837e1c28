"""Beam search: of the texts that may follow, the likeliest that so many beams find.

What competes are whole ghosts: those that have ended, and those that are as long as was asked for. Each
is one of the outcomes that the model divides its probability among, so their joint log-probabilities are
compared as they are, with nothing made up for length: a short line wins only where it is the likelier
one. A beam that has ended stays among the others as it is. Scores only fall, so the search is over when
the best beam has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from charrepl_daemon.model import compiled_programs
from charrepl_daemon.model import serving_lstm as network
from charrepl_daemon.model.programs import PIECE
from charrepl_daemon.model.serving_lstm import Weights
from charrepl_train.text.vocabulary import UNKNOWN

WIDTH = 8  # beams at most: one program takes any number of them, and reads the weights once for all


class Beams(NamedTuple):
    """How far the beams have come, the best first; it stays on the device between two calls."""

    carry: Any  # f32 [WIDTH, layers x 2 x hidden]
    scores: Any  # f32 [WIDTH], joint log-probabilities in nats, -inf where there is no beam
    seen: Any  # bool [WIDTH]: whether it has a visible character
    ended: Any  # bool [WIDTH]


class Found(NamedTuple):
    """One call's steps; those from `count` on mean nothing."""

    tokens: Any  # int32 [PIECE, WIDTH]; UNKNOWN where a beam had ended before
    parents: Any  # int32 [PIECE, WIDTH]: which beam of the step before it continues
    log_probs: Any  # f32 [PIECE, WIDTH], nats
    count: Any  # int32
    done: Any  # bool: nothing can overtake the best beam


class Search:
    """A beam search under way, for one writer."""

    def __init__(
        self,
        *,
        session: tuple[Hashable, int],
        tokens: NDArray[np.int32],
        beams: int,
        max_chars: int,
        ends: NDArray[np.bool_],
        least: float,
        before: str | None,
    ) -> None:
        self.session = session
        self.tokens = tokens
        self.beams = beams
        self.left = max_chars
        self.ends = ends
        self.least = least
        self.before = before  # the window's text, for a ghost, which ends before it goes in circles
        self.state: Beams | None = None  # None before the first call
        self.done = False
        self._steps: list[tuple[list[int], list[int], list[float]]] = []

    def add(self, found: Found) -> None:
        """Records a call's steps."""
        count = int(found.count)
        for step in zip(found.tokens[:count], found.parents[:count], found.log_probs[:count], strict=True):
            tokens, parents, log_probs = step
            self._steps.append((tokens.tolist(), parents.tolist(), log_probs.tolist()))
        self.left -= count
        self.done = bool(found.done) or self.left <= 0

    def best(self) -> tuple[list[int], list[float]]:
        """The tokens of the best beam and their log-probabilities in nats, cut where it gets too unlikely."""
        beam, path = 0, []
        for tokens, parents, log_probs in reversed(self._steps):
            if tokens[beam] != UNKNOWN:
                path.append((tokens[beam], log_probs[beam]))
            beam = parents[beam]
        path.reverse()
        joint = np.cumsum([log_prob for _, log_prob in path])
        kept = path[: int(np.sum(joint >= self.least))]  # it only falls
        return [token for token, _ in kept], [log_prob for _, log_prob in kept]


def beam_program(shape: tuple[int, int, int], visible: Any) -> Callable[..., tuple[Beams, Found]]:
    """The program: (weights, store, slot, fresh, state, beams, budget, ends) to the state and its steps.

    `fresh`: begin at the carry in `slot` of the store, and not from the state; beams: int32, how many;
    budget: int32, steps at most; ends: bool [V], characters that end a beam that has a visible one.
    """

    def search(
        weights: Weights,
        store: jax.Array,
        slot: jax.Array,
        fresh: jax.Array,
        state: Beams,
        beams: jax.Array,
        budget: jax.Array,
        ends: jax.Array,
    ) -> tuple[Beams, Found]:
        place = jnp.arange(WIDTH)
        first = jnp.where(place == 0, 0.0, -jnp.inf)  # all beams are one so far
        rows = jnp.where(fresh, store[slot], state.carry)
        scores = jnp.where(fresh, first, state.scores)
        nothing = Found(
            tokens=jnp.zeros((PIECE, WIDTH), jnp.int32),
            parents=jnp.zeros((PIECE, WIDTH), jnp.int32),
            log_probs=jnp.zeros((PIECE, WIDTH)),
            count=jnp.int32(0),
            done=jnp.bool_(False),
        )

        def wants(loop: tuple[Any, ...]) -> jax.Array:
            found = loop[-1]
            more: jax.Array = ~found.done & (found.count < budget)
            return more

        def go_on(loop: tuple[Any, ...]) -> tuple[Any, ...]:
            carry, scores, seen, ended, found = loop
            log_probs = jax.nn.log_softmax(network.logits(weights, carry)).at[:, UNKNOWN].set(-jnp.inf)
            # A beam that has ended has one continuation, at no cost.
            stays = jnp.where(jnp.arange(log_probs.shape[1]) == UNKNOWN, 0.0, -jnp.inf)
            log_probs = jnp.where(ended[:, None], stays, log_probs)
            scores, at = jax.lax.top_k((scores[:, None] + log_probs).reshape(-1), WIDTH)
            scores = jnp.where(place < beams, scores, -jnp.inf)
            parents, tokens = jnp.divmod(at.astype(jnp.int32), log_probs.shape[1])
            was = ended[parents]
            seen = seen[parents] | (~was & jnp.asarray(visible)[tokens])
            ended = was | (ends[tokens] & seen)
            carry = network.step(weights, jax.tree.map(lambda part: part[:, parents], carry), tokens)
            i = found.count
            found = Found(
                tokens=found.tokens.at[i].set(tokens),
                parents=found.parents.at[i].set(parents),
                log_probs=found.log_probs.at[i].set(log_probs[parents, tokens]),
                count=i + 1,
                done=ended[0],
            )
            return carry, scores, seen, ended, found

        seen, ended = state.seen & ~fresh, state.ended & ~fresh
        loop = network.unpacked(rows, shape), scores, seen, ended, nothing
        carry, scores, seen, ended, found = jax.lax.while_loop(wants, go_on, loop)
        return Beams(network.packed(carry), scores, seen, ended), found

    return search


class Searcher:
    """A model's program for beam search, compiled when it is first wanted; any thread may do that."""

    def __init__(self, weights: Weights, shape: tuple[int, int, int], visible: Any) -> None:
        self._weights = weights
        self._shape, self._visible = shape, visible
        self._blank = Beams(
            carry=np.zeros((WIDTH, int(np.prod(shape))), np.float32),
            scores=np.zeros(WIDTH, np.float32),
            seen=np.zeros(WIDTH, bool),
            ended=np.zeros(WIDTH, bool),
        )
        self._compiled: Callable[..., tuple[Beams, Found]] | None = None

    @property
    def ready(self) -> bool:
        """Whether a search needs no compiling."""
        return self._compiled is not None

    def compile(self, store: jax.ShapeDtypeStruct, ends: NDArray[np.bool_]) -> None:
        """Makes the program ready."""
        arguments = self._arguments(0, self._blank, fresh=True, beams=1, budget=0, ends=ends)
        self._compiled = compiled_programs.program(
            beam_program(self._shape, self._visible),
            *(self._weights, store, *arguments),
            name="search",
            returns=(Beams(*Beams._fields), Found(*Found._fields)),
            constants=(self._shape, self._visible.tolist()),
        )

    def step(self, search: Search, store: jax.Array, slot: int) -> None:
        """The next piece of a search, which begins at the carry in `slot`."""
        assert self._compiled is not None
        arguments = self._arguments(
            slot,
            search.state or self._blank,
            fresh=search.state is None,
            beams=search.beams,
            budget=min(PIECE, search.left),
            ends=search.ends,
        )
        search.state, found = self._compiled(self._weights, store, *arguments)
        search.add(Found(*jax.device_get(found)))

    @staticmethod
    def _arguments(
        slot: int, state: Beams, *, fresh: bool, beams: int, budget: int, ends: NDArray[np.bool_]
    ) -> tuple[Any, ...]:
        return np.int32(slot), np.bool_(fresh), state, np.int32(beams), np.int32(budget), ends
