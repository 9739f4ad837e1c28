"""Turns requests into generations: what to write after which text, and how much is known already."""

from __future__ import annotations

import math
from collections.abc import Hashable

import msgspec
import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError
from charrepl.wire.context_window import STRIDE, window_start
from charrepl.wire.protocol import Complete, Decoding, Sample, Stop
from charrepl_daemon.engine.carry_cache import OWN_SHARE, CacheFullError, CarryCache
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.greedy_cache import GreedyCache
from charrepl_daemon.engine.session_texts import Tokens
from charrepl_daemon.model.beam_search import Search
from charrepl_daemon.model.programs import MAX_ALTERNATIVES, MAX_FED, NEVER
from charrepl_train.text.vocabulary import Vocabulary

_SENTENCE_ENDS = ".!?。！？…\n"
# Passages get half of the slots that one may own. The other half is for alternatives.
_PASSAGES_SHARE = 2 * OWN_SHARE
_MOST_AHEAD = 64  # characters decoded from a ghost's end on


class Planner:
    """Makes generations that an `Engine` computes. Reads the engine's caches."""

    def __init__(self, vocabulary: Vocabulary, cache: CarryCache, known: GreedyCache, *, slots: int) -> None:
        self._vocabulary = vocabulary
        self.visible = vocabulary.visible()
        self.ends: dict[Stop, NDArray[np.bool_]] = {
            "none": np.zeros(len(vocabulary), bool),
            "line": vocabulary.mask("\n"),
            "sentence": vocabulary.mask(_SENTENCE_ENDS),
        }
        self._cache, self._known = cache, known
        self._most_passages = slots // _PASSAGES_SHARE
        self._passages: set[Generation] = set()  # those that are not released yet
        self._passage_number = 0
        self.answered_ahead = 0

    def ghosts(self, session: Hashable, request: Complete) -> list[Generation]:
        """The ghosts asked for. For alternatives there are more, because similar ones are left out later.

        The first of several reads the text; the others begin where it ends.

        Raises CharreplError if the text sent begins inside the window.
        """
        tokens, position, start = self._window(request)
        decoding, least = request.decoding, _least(request)
        before = _before(request, start)
        key = (session, start)
        unread = self._cache.unread(key, tokens)

        def generation(rank: int) -> Generation:
            return Generation(
                session=key,
                tokens=tokens,
                position=position,
                max_chars=request.max_chars,
                # Alternatives differ in their first character. Each continues in the likeliest way.
                decoding=decoding if rank < 0 else Decoding(adapt=decoding.adapt),
                ends=self.ends[request.stop],
                least=least if rank < 0 else NEVER,
                rank=rank,
                own=rank > 0,
                unread=0 if rank > 0 else unread,
                before=before,
            )

        if request.alternatives == 1:
            ghost = generation(-1)
            self._recall(ghost)
            self.answered_ahead += ghost.done
            return [ghost]
        wanted = request.alternatives if before is None else MAX_ALTERNATIVES
        count = min(wanted, len(self._vocabulary) - 1)
        return [generation(rank) for rank in range(count)]

    def searched(self, session: Hashable, request: Complete) -> tuple[Generation, Search]:
        """A generation that reads the text, and the beam search that begins at its end.

        Raises CharreplError if the text sent begins inside the window.
        """
        tokens, position, start = self._window(request)
        search = Search(
            session=(session, start),
            tokens=tokens,
            beams=request.decoding.beam,
            max_chars=request.max_chars,
            ends=self.ends[request.stop],
            least=_least(request),
            before=_before(request, start),
        )
        return self.reading(search.session, tokens, position), search

    def reading(self, session: tuple[Hashable, int], tokens: Tokens, position: int) -> Generation:
        """A generation that only reads a text, so that its carry is in the cache."""
        unread = self._cache.unread(session, tokens)
        reading = Generation(
            session=session,
            tokens=tokens,
            position=position,
            max_chars=0,
            decoding=Decoding(),
            ends=self.ends["none"],
            unread=unread,
        )
        reading.done = not unread
        return reading

    def passage(self, request: Sample) -> Generation:
        """The passage asked for. In the end, give it back with the engine's `release`.

        It does not adapt, because each repetition would make the next one likelier. Raises CacheFullError if
        there are too many passages: with more than there are slots, each would be read again and again.
        """
        if len(self._passages) >= self._most_passages:
            raise CacheFullError
        tokens, position, _ = self._window(request)
        self._passage_number += 1
        passage = Generation(
            session=(("passage", self._passage_number), 0),
            kept=False,
            unread=len(tokens),
            tokens=tokens,
            position=position,
            max_chars=request.max_chars,
            decoding=msgspec.structs.replace(request.decoding, adapt=False),
            ends=self.ends[request.stop],
            own=True,
        )
        self._passages.add(passage)
        return passage

    def release(self, generation: Generation) -> None:
        """Stops counting a passage. Has no effect for other generations."""
        self._passages.discard(generation)

    def _recall(self, generation: Generation) -> None:
        """Writes what is known already, without the device."""
        tokens, log_probs = self._known.after(generation.session, generation.tokens, generation.decoding)
        if len(tokens):
            text = self._vocabulary.decode(tokens)
            generation.recall(tokens, text, log_probs, self.visible)
            generation.unread = self._cache.unread(generation.session, generation.tokens)

    def ahead(self, ghost: Generation) -> Generation | None:
        """A generation that continues a ghost before it is taken; None if that gains nothing.

        Then the continuation is known whichever part of the ghost is taken, because it is the same path.
        """
        start = ghost.session[1]
        if not ghost.kept or ghost.rank >= 0 or not ghost.text or window_start(ghost.position) != start:
            return None
        generation = Generation(
            session=ghost.session,
            tokens=ghost.tokens,
            typed=ghost.typed,
            position=ghost.position,
            max_chars=min(len(ghost.text) + ghost.left, _MOST_AHEAD),
            decoding=ghost.decoding,
            ends=ghost.ends,
            least=ghost.least,
            ahead=True,
            before=None if ghost.before is None else ghost.before + ghost.text,
        )
        self._recall(generation)
        # If the carry at its end is not in the cache, it is not worth the work.
        lost = self._cache.unread(generation.session, generation.tokens)
        return None if generation.done or lost else generation

    def next_window(self, session: Hashable, text: str, offset: int) -> Generation | None:
        """A generation that reads the next window; None unless that begins soon and there is much to read.

        It writes nothing.
        """
        length = offset + len(text)
        start = length // STRIDE * STRIDE
        if start <= offset or length - start < STRIDE // 2:
            return None
        tokens = self._read(text[start - offset :])
        reading = self.reading((session, start), tokens, length)
        reading.ahead = True
        return reading if reading.unread >= MAX_FED else None

    def _window(self, request: Complete | Sample) -> tuple[Tokens, int, int]:
        """The tokens that the model reads, the position after them, and where in the text they start.

        The position counts letters as the model reads them, so that it depends only on the letters.
        """
        text, offset = request.text, request.offset
        length = offset + len(text)
        start = window_start(length)
        if offset > start:
            raise CharreplError(
                f"offset {offset} leaves out characters from {start} on that the model reads: send them",
                code="bad_offset",
            )
        tokens = self._read(text[start - offset :])
        return tokens, start + len(tokens) - 1, start

    def _read(self, window: str) -> Tokens:
        """A window's text as the tokens that the model reads."""
        return self._vocabulary.encode("\n" + window)  # every window starts after a newline


def _least(request: Complete) -> float:
    """The joint log-probability below which a ghost is cut, in nats."""
    return math.log(request.min_confidence) if request.min_confidence > 0 else NEVER


def _before(request: Complete, start: int) -> str | None:
    """The text before a ghost, which the ghost must not repeat, from the window's beginning `start` on.

    None for requests that have no end of their own, such as the likeliest next characters.
    """
    return None if request.stop == "none" else request.text[start - request.offset :]
