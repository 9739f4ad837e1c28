"""One model on the device: its weights, its store of carries, and the programs that use them.

One thread uses it. Only `compile` and `make` may be called from any thread.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError, reason
from charrepl.ghost import repetition
from charrepl.wire.protocol import Decoding, Sample
from charrepl_daemon.engine.carry_cache import RECENT, SLOT_BYTES, CacheFullError, CarryCache
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.greedy_cache import GreedyCache
from charrepl_daemon.engine.request_planner import Planner
from charrepl_daemon.model import adaptation, compiled_programs, programs
from charrepl_daemon.model.beam_search import Search, Searcher
from charrepl_daemon.model.carry_store import RESERVED_SLOTS, ZERO_SLOT
from charrepl_daemon.model.packed_arguments import Packing
from charrepl_daemon.model.precision import PrecisionChoice, served
from charrepl_daemon.model.programs import DECODED, MAX_FED, PIECE, Decoded, Rows
from charrepl_daemon.model.scoring import Scorer
from charrepl_daemon.model.serving_lstm import Weights
from charrepl_train.devices import jax_setup
from charrepl_train.model_directory import loaded_model
from charrepl_train.model_directory.loaded_model import LoadedModel

log = logging.getLogger(__name__)

Extra = Literal["search", "score"]  # programs that ghosts do not need

_BATCHES = (1, 8, 32)  # rows of a program; if there are more writers, they take turns
_GPU_BATCHES = (*_BATCHES, 128)
_SHORT_PIECE = 4  # characters that a call decodes ahead; a key may have to wait for them in vain
_CROWD_PIECE = 3  # characters that a call decodes for each of many rows, because such calls take long
_READING_SHARE = 8  # at most one slot in so many may wait until the rest of its text is read
_CROWD = 8  # more rows than this count as many


class DeviceLostError(CharreplError):
    """The device does not compute any more. Perhaps it does in another process."""

    def __init__(self, message: str, *, fix: str = "this daemon is ending, ask the next one") -> None:
        super().__init__(f"{message}: {fix}", code="device")


class Engine:
    """A model that is ready to write. `planner` turns requests into generations for `step`.

    `cache_bytes` limits the memory for carries. `loaded` is what is in `directory`, if it was read. Raises
    CharreplError if the model in `directory` is missing, damaged, or does not compute.
    """

    def __init__(
        self,
        directory: Path,
        *,
        cache_bytes: int,
        precision: PrecisionChoice = "auto",
        loaded: LoadedModel | None = None,
    ) -> None:
        began = time.monotonic()
        self.closed = False
        loaded = loaded or loaded_model.load(directory)
        self.directory = directory
        self.digest = loaded.digest
        config = loaded.config.model
        self._served = served(
            loaded.params, precision, newline=loaded.vocabulary.newline, digest=loaded.digest
        )
        self._shape = (config.layers, 2, config.hidden_size)
        carry_bytes = 4 * int(np.prod(self._shape))
        slots = max(cache_bytes // (carry_bytes + SLOT_BYTES), RESERVED_SLOTS + 4 * RECENT)
        self.vocabulary = loaded.vocabulary
        self._cache, self._known = CarryCache(slots), GreedyCache()
        # For each text that is not completely read yet, the slot reached so far, most recent last. It is not
        # evicted for others. A text that nobody reads on is displaced by those that came after it.
        self._reading: OrderedDict[Hashable, int] = OrderedDict()
        self.planner = Planner(self.vocabulary, self._cache, self._known, slots=slots)
        self._slots = slots
        self._calls = self._calls_ahead = 0
        self._characters_ahead = 0
        self._compiled: dict[int, Callable[..., tuple[jax.Array, jax.Array]]] = {}
        self._compiling = threading.Lock()
        self._on_gpu = jax_setup.has_gpu()
        self.batches = _GPU_BATCHES if self._on_gpu else _BATCHES
        self._failures = 0  # of the device, since it last worked
        store = self._slots, int(np.prod(self._shape))
        self._zeros = compiled_programs.program(lambda: jnp.zeros(store), name="zeros", constants=store)
        self._make_store()
        self._packing = Packing(programs.blank_rows(len(self.vocabulary)))
        self.compile(1)
        self._searcher = Searcher(self._served.weights, self._shape, self.planner.visible)
        self._scorer = Scorer(self._served.exact, self._shape, self.vocabulary, digest=self.digest)
        self._canary()
        log.info(
            "loaded %s (%s) in %s in %.2f s",
            directory.name,
            self.digest,
            self._served.precision,
            time.monotonic() - began,
        )

    # Loading

    def _make_store(self) -> None:
        self._store = self._zeros()

    def compile(self, batch: int) -> None:
        """Prepares the program for `batch` rows, or programs. You may call it more than once."""
        with self._compiling:
            if batch not in self._compiled:
                self._compiled[batch] = self._by_reads(batch) if self._on_gpu else self._serve(batch)

    def _by_reads(self, batch: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """A GPU's programs: each call takes the one that reads enough."""
        serves = [(reads, self._serve(batch, reads=reads)) for reads in programs.READS]

        def serve(weights: Weights, store: jax.Array, packed: NDArray[np.int32]) -> Any:
            count = self._packing.fields(packed).count.max()
            return next(program for reads, program in serves if count <= reads)(weights, store, packed)

        return serve

    def _serve(self, batch: int, *, reads: int | None = None) -> Callable[..., tuple[jax.Array, jax.Array]]:
        store = jax.ShapeDtypeStruct(self._store.shape, self._store.dtype)
        return compiled_programs.program(
            programs.serve_program(self._shape, self.planner.visible, self._packing, reads=reads),
            *(self._served.weights, store, self._packing.blank(batch)),
            name="serve",
            returns=(0, 0),
            constants=(self._shape, self.planner.visible.tolist(), reads),
            donate_argnums=(1,),
        )

    def can(self, extra: Extra | None) -> bool:
        """Whether the wanted program is ready. True if none is wanted."""
        return extra is None or (self._searcher if extra == "search" else self._scorer).ready

    def make(self, extra: Extra) -> None:
        """Prepares a program that ghosts do not need. You may call it more than once."""
        with self._compiling:
            if self.can(extra):
                return
            if extra == "score":
                self._scorer.compile()
            else:
                store = jax.ShapeDtypeStruct(self._store.shape, self._store.dtype)
                self._searcher.compile(store, self.planner.ends["none"])

    def close(self) -> None:
        """Frees its memory, most of it the device's, immediately. The engine cannot be used afterwards."""
        self.closed = True
        self._cache.clear()
        for array in jax.tree.leaves((self._served.weights, self._served.exact, self._store)):
            if not array.is_deleted():  # in f32, `exact` is the same array
                array.delete()

    @property
    def widest(self) -> int:
        """The most rows that one step can take now."""
        return max(self._compiled)

    def _canary(self) -> None:
        """Raises CharreplError unless the model writes, and its probabilities are numbers."""
        generation = self.planner.passage(Sample(seq=0, text="\n", max_chars=PIECE, decoding=Decoding()))
        while not generation.done:
            self.step([generation])
        self.release(generation)
        if not np.isfinite(generation.log_probs).all():
            raise CharreplError(
                f"the weights in {self.directory} are not numbers: train or copy the model again",
                code="bad_model",
            )

    # Computing

    def release(self, generation: Generation) -> None:
        """Gives back the slots of a generation. Call it once, when that is done or given up."""
        generation.done = True
        self._reading.pop(generation.session, None)
        self._cache.give_back_own(generation)
        self.planner.release(generation)
        if not generation.kept:
            self._cache.forget(generation.session)

    def step(self, generations: Sequence[Generation]) -> None:
        """Reads or writes the next piece of each generation, or of the first few if the cache is full.

        At most `widest` at a time. A generation with much to read reads `MAX_FED` characters, and writes when
        none are `unread`. If more can be written afterwards, its `done` is false. Raises CharreplError if not
        even one fits, or if the device failed. After a failure, every carry is computed again when it is
        needed.
        """
        batch = next(b for b in sorted(self._compiled) if b >= len(generations))
        packed = self._packing.blank(batch)
        rows = self._packing.fields(packed)
        most = _CROWD_PIECE if len(generations) > _CROWD and not self._on_gpu else PIECE
        going: list[Generation] = []
        cached: list[bool] = []  # for each row, whether its carries are cached by text
        held = set(self._reading.values())
        feeding: set[Hashable] = set()
        try:
            for generation in generations:
                if generation.session in feeding:  # an alternative, whose text another row is reading
                    continue
                i = len(going)
                try:
                    cached.append(self._start(rows, i, generation, held, most))
                except CacheFullError:
                    if not going:
                        raise
                    break
                going.append(generation)
                if rows.count[i]:
                    feeding.add(generation.session)
                self._fill(rows, i, generation, most)
            self._calls_ahead += all(generation.ahead for generation in going)
            out = self._call(packed)
        except BaseException:
            # Slots may be reserved for carries that were never computed.
            for i, by_text in enumerate(cached):
                if by_text:
                    self._cache.give_back(rows.keep[i].tolist())
            self._lose_carries()
            raise
        for i, (generation, by_text) in enumerate(zip(going, cached, strict=True)):
            count = int(out.count[i])
            tokens = out.tokens[i, :count]
            log_probs = out.log_probs[i, :count].tolist()
            if by_text:
                self._cache.extend(
                    generation.session,
                    generation.tokens,
                    tokens,
                    rows.keep[i].tolist(),
                    ahead=generation.ahead,
                )
                if generation.rank < 0 and count:
                    self._known.add(
                        generation.session, generation.tokens, generation.decoding, tokens, log_probs
                    )
            generation.add(tokens, self.vocabulary.decode(tokens), log_probs)
            self._characters_ahead += count if generation.ahead else 0
            generation.joint = float(out.joint[i])
            generation.seen = bool(out.seen[i])
            generation.done = not generation.unread and (bool(out.done[i]) or generation.left <= 0)
            generation.go_straight()

    def _start(self, rows: Rows, i: int, generation: Generation, held: set[int], most: int) -> bool:
        """Fills in where row `i` starts. Returns whether what it decodes is cached by text."""
        own = self._cache.own(generation, held)
        if own is not None:
            rows.read[i] = rows.keep[i] = own
            return False
        plan = self._cache.plan(
            generation.session, generation.tokens, held, most=MAX_FED, typed=generation.typed
        )
        fed = generation.tokens[plan.known : plan.known + len(plan.writes)]
        generation.unread = len(generation.tokens) - plan.known - len(fed)
        rows.read[i] = plan.read
        rows.count[i] = len(fed)
        rows.tokens[i, : len(fed)] = fed
        rows.write[i, : len(fed)] = plan.writes
        if generation.unread:
            self._reading[generation.session] = plan.writes[-1]
            self._reading.move_to_end(generation.session)
            if len(self._reading) > self._slots // _READING_SHARE:
                self._reading.popitem(last=False)
            return False
        self._reading.pop(generation.session, None)
        if not generation.left:
            return False
        if generation.own:
            rows.keep[i] = self._cache.take_own(generation, held)
            return False
        budget = _budget(generation, most)
        rows.keep[i, :budget] = self._cache.take_free(budget, held, ahead=generation.ahead)
        return True

    @staticmethod
    def _fill(rows: Rows, i: int, generation: Generation, most: int) -> None:
        rows.budget[i] = _budget(generation, most)
        rows.position[i] = generation.position % 2**31
        rows.seed[i] = generation.decoding.seed
        rows.temperature[i] = generation.decoding.temperature
        rows.top_k[i] = generation.decoding.top_k
        rows.top_p[i] = generation.decoding.top_p
        rows.rank[i] = -1 if generation.begun else generation.rank
        rows.least[i] = generation.least
        rows.joint[i] = generation.joint
        rows.seen[i] = generation.seen
        rows.ends[i] = generation.ends
        if generation.decoding.adapt:
            adaptation.fill(rows.said, i, generation.tokens)

    def search(self, search: Search) -> None:
        """Takes the next steps of a beam search, after its text was read. Raises CharreplError on failure."""
        slot = ZERO_SLOT
        if search.state is None:
            while self._cache.unread(search.session, search.tokens):  # its carry has been evicted
                self.step([self.planner.reading(search.session, search.tokens, 0)])
            slot = self._cache.plan(search.session, search.tokens).read
        with self._failing():
            self._searcher.step(search, self._store, slot)

    def found(self, search: Search) -> tuple[str, list[float]]:
        """The ghost that a search found, and its log-probabilities in nats."""
        tokens, log_probs = search.best()
        text = self.vocabulary.decode(np.array(tokens, int))
        if search.before is not None:
            length = repetition.straight(search.before, text).length
            return text[:length], log_probs[:length]
        return text, log_probs

    def score(
        self, text: str, carry: bytes, digest: str, *, before: str | None = None
    ) -> tuple[bytes, list[float]]:
        """As `Scorer.score`, for this model. Compiles that program if it is not `made` yet."""
        if not self._scorer.ready:
            self.make("score")
        with self._failing():
            return self._scorer.score(text, carry, digest, before=before)

    def _call(self, packed: NDArray[np.int32]) -> Decoded:
        """Calls a program on the device, for some packed `Rows`."""
        with self._failing():
            self._store, out = self._compiled[len(packed)](self._served.weights, self._store, packed)
            return DECODED.fields(np.asarray(out))

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Counts a call on the device. If it fails, recovers and raises CharreplError.

        The error is a DeviceLostError if calls fail twice without a success in between: it would go on
        forever.
        """
        self._calls += 1
        try:
            yield
        except CharreplError:
            raise
        except Exception as error:  # out of memory, a lost device: anything that the runtime raises
            log.exception("the device failed")
            compiled_programs.forget()
            why, self._failures = f"the device failed ({reason(error)})", self._failures + 1
            try:
                self._make_store()  # the old one was donated to the failed call, and is lost
            except Exception as again:
                raise DeviceLostError(f"{why}, and did not come back ({reason(again)})") from error
            self._lose_carries()
            if self._failures > 1:
                raise DeviceLostError(f"{why} twice in a row") from error
            raise CharreplError(f"{why}: type on, or run charrepl-daemon restart", code="device") from error
        self._failures = 0

    def _lose_carries(self) -> None:
        """Forgets all slots. Sessions and passages continue from their texts."""
        self._reading.clear()
        self._cache.clear()

    def stats(self) -> dict[str, Any]:
        """What `status` shows about this model."""
        cache = self._cache
        return {
            "name": self.directory.name,
            "path": str(self.directory),
            "digest": self.digest,
            "precision": self._served.precision,
            "precision_costs_nats": round(self._served.cost, 6),
            "sessions": cache.writers,
            "carries": cache.used,
            "carry_slots": self._slots - RESERVED_SLOTS,
            "characters_from_cache": cache.hits,
            "characters_read": cache.misses,
            "evictions": cache.evictions,
            "rows_at_once": self.widest,
            "device_calls": self._calls,
            "device_calls_ahead": self._calls_ahead,
            "characters_ahead": self._characters_ahead,
            "answered_ahead": self.planner.answered_ahead,
        }


def _budget(generation: Generation, most: int) -> int:
    """How many characters a call may write for a generation, if the call writes at most so many."""
    return 0 if generation.unread else min(_SHORT_PIECE if generation.ahead else most, generation.left)
