"""One model on the device: its weights, its store of carries, and the programs that use them.

Used by one thread, save for `compile` and `make`, which any thread may call.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
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
from charrepl_train.devices import jax_setup
from charrepl_train.run import checkpoint

log = logging.getLogger(__name__)

Extra = Literal["search", "score"]  # programs that no ghost needs

_BATCHES = (1, 8, 32)  # rows a program takes; more writers at once are served in turn
_GPU_BATCHES = (*_BATCHES, 128)
_SHORT_PIECE = 4  # characters a call decodes ahead: what a key may have to wait for in vain
_CROWD_PIECE = 3  # characters a call decodes for a crowd, whose calls are long for each
_READING_SHARE = 8  # one slot in so many may wait for the rest of its text to be read, at most
_CROWD = 8  # rows that are none yet


class DeviceLostError(CharreplError):
    """The device does not compute any more: only another process may find it well."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}: this daemon leaves, ask the next one", code="device")


class Engine:
    """A model that is ready to write: `planner` makes of requests what to `step`.

    `cache_bytes` bounds the carries it keeps. Raises CharreplError if the model in `directory` is
    missing, damaged, or does not compute.
    """

    def __init__(
        self,
        directory: Path,
        *,
        cache_bytes: int,
        precision: PrecisionChoice = "auto",
        read: Callable[[Path], checkpoint.LoadedModel] = checkpoint.load_model,
    ) -> None:
        began = time.monotonic()
        self.closed = False
        loaded = read(directory)
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
        # The slot that each text has come to which is not yet read whole: it survives what others need.
        self._reading: dict[Generation, int] = {}
        self.planner = Planner(self.vocabulary, self._cache, self._known, slots=slots)
        self._slots = slots
        self._calls = self._calls_ahead = 0
        self._characters_ahead = 0
        self._compiled: dict[int, Callable[..., tuple[jax.Array, jax.Array]]] = {}
        self._compiling = threading.Lock()
        self.batches = _GPU_BATCHES if jax_setup.has_gpu() else _BATCHES
        self._failures = 0  # of the device, since it last did what it should
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
        """Makes the program for `batch` rows ready. Harmless to repeat."""
        with self._compiling:
            if batch not in self._compiled:
                store = jax.ShapeDtypeStruct(self._store.shape, self._store.dtype)
                self._compiled[batch] = compiled_programs.program(
                    programs.serve_program(self._shape, self.planner.visible, self._packing),
                    *(self._served.weights, store, self._packing.blank(batch)),
                    name="serve",
                    returns=(0, 0),
                    constants=(self._shape, self.planner.visible.tolist()),
                    donate_argnums=(1,),
                )

    def can(self, extra: Extra | None) -> bool:
        """Whether a program that no ghost needs is there, if one is wanted."""
        return extra is None or (self._searcher if extra == "search" else self._scorer).ready

    def make(self, extra: Extra) -> None:
        """Makes such a program ready. Harmless to repeat."""
        with self._compiling:
            if self.can(extra):
                return
            if extra == "score":
                self._scorer.compile()
            else:
                store = jax.ShapeDtypeStruct(self._store.shape, self._store.dtype)
                self._searcher.compile(store, self.planner.ends["none"])

    def close(self) -> None:
        """Gives back what it holds, most of it the device's, at once; of no use afterwards."""
        self.closed = True
        self._cache.clear()
        for array in jax.tree.leaves((self._served.weights, self._served.exact, self._store)):
            if not array.is_deleted():  # in f32, `exact` is the same
                array.delete()

    @property
    def widest(self) -> int:
        """The most rows that one step can take now."""
        return max(self._compiled)

    def _canary(self) -> None:
        """Raises CharreplError unless the model writes, with real probabilities."""
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
        """Gives back what a writing holds; call it once, when it is done or given up."""
        generation.done = True
        self._reading.pop(generation, None)
        self._cache.give_back_own(generation)
        self.planner.release(generation)
        if not generation.kept:
            self._cache.forget(generation.session)

    def step(self, generations: Sequence[Generation]) -> None:
        """Reads or writes the next piece of each, or of the first few if the cache has room for no more.

        At most `widest` at once. Those with much to read read `MAX_FED` characters, and write when there
        are none `unread`. What can still be written afterwards has `done` unset. Raises CharreplError if
        not even one fits, or if the device failed; every carry is then computed anew when it is needed.
        """
        batch = next(b for b in sorted(self._compiled) if b >= len(generations))
        packed = self._packing.blank(batch)
        rows = self._packing.fields(packed)
        most = _CROWD_PIECE if len(generations) > _CROWD else PIECE
        going: list[Generation] = []
        cached: list[bool] = []  # whether the carries of each are cached by text
        held = set(itertools.islice(self._reading.values(), self._slots // _READING_SHARE))
        feeding: set[Hashable] = set()
        try:
            for w in generations:
                if w.session in feeding:  # an alternative: its text is being read in another row
                    continue
                i = len(going)
                try:
                    cached.append(self._start(rows, i, w, held, most))
                except CacheFullError:
                    if not going:
                        raise
                    break
                going.append(w)
                if rows.count[i]:
                    feeding.add(w.session)
                self._fill(rows, i, w, most)
            self._calls_ahead += all(w.ahead for w in going)
            out = self._call(packed)
        except BaseException:
            # Slots may be taken for carries that were never computed.
            for i, by_text in enumerate(cached):
                if by_text:
                    self._cache.give_back(rows.keep[i].tolist())
            self._lose_carries()
            raise
        for i, (w, by_text) in enumerate(zip(going, cached, strict=True)):
            count = int(out.count[i])
            tokens = out.tokens[i, :count]
            log_probs = out.log_probs[i, :count].tolist()
            if by_text:
                self._cache.extend(w.session, w.tokens, tokens, rows.keep[i].tolist(), ahead=w.ahead)
                if w.rank < 0 and count:
                    self._known.add(w.session, w.tokens, w.decoding, tokens, log_probs)
            w.add(tokens, self.vocabulary.decode(tokens), log_probs)
            self._characters_ahead += count if w.ahead else 0
            w.joint = float(out.joint[i])
            w.seen = bool(out.seen[i])
            w.done = not w.unread and (bool(out.done[i]) or w.left <= 0)
            w.go_straight()

    def _start(self, rows: Rows, i: int, w: Generation, held: set[int], most: int) -> bool:
        """Fills in where row `i` starts from; whether what it decodes is cached by text."""
        own = self._cache.own(w, held)
        if own is not None:
            rows.read[i] = rows.keep[i] = own
            return False
        plan = self._cache.plan(w.session, w.tokens, held, most=MAX_FED, typed=w.typed)
        fed = w.tokens[plan.known : plan.known + len(plan.writes)]
        w.unread = len(w.tokens) - plan.known - len(fed)
        rows.read[i] = plan.read
        rows.count[i] = len(fed)
        rows.tokens[i, : len(fed)] = fed
        rows.write[i, : len(fed)] = plan.writes
        if w.unread:
            self._reading[w] = plan.writes[-1]
            return False
        self._reading.pop(w, None)
        if not w.left:
            return False
        if w.own:
            rows.keep[i] = self._cache.take_own(w, held)
            return False
        budget = _budget(w, most)
        rows.keep[i, :budget] = self._cache.take_free(budget, held, ahead=w.ahead)
        return True

    @staticmethod
    def _fill(rows: Rows, i: int, w: Generation, most: int) -> None:
        rows.budget[i] = _budget(w, most)
        rows.position[i] = w.position % 2**31
        rows.seed[i] = w.decoding.seed
        rows.temperature[i] = w.decoding.temperature
        rows.top_k[i] = w.decoding.top_k
        rows.top_p[i] = w.decoding.top_p
        rows.rank[i] = -1 if w.begun else w.rank
        rows.least[i] = w.least
        rows.joint[i] = w.joint
        rows.seen[i] = w.seen
        rows.ends[i] = w.ends
        if w.decoding.adapt:
            adaptation.fill(rows.said, i, w.tokens)

    def search(self, search: Search) -> None:
        """The next steps of a beam search whose text is read. Raises CharreplError if the device failed."""
        slot = ZERO_SLOT
        if search.state is None:
            while self._cache.unread(search.session, search.tokens):  # its carry has made way for others
                self.step([self.planner.reading(search.session, search.tokens, 0)])
            slot = self._cache.plan(search.session, search.tokens).read
        with self._failing():
            self._searcher.step(search, self._store, slot)

    def found(self, search: Search) -> tuple[str, list[float]]:
        """The ghost that a search came to, and its log-probabilities in nats."""
        tokens, log_probs = search.best()
        text = self.vocabulary.decode(np.array(tokens, int))
        if search.before is not None:
            length = repetition.straight(search.before, text).length
            return text[:length], log_probs[:length]
        return text, log_probs

    def score(
        self, text: str, carry: bytes, digest: str, *, before: str | None = None
    ) -> tuple[bytes, list[float]]:
        """As `Scorer.score`, of this model; compiles that program if nobody has `made` it."""
        if not self._scorer.ready:
            self.make("score")
        with self._failing():
            return self._scorer.score(text, carry, digest, before=before)

    def _call(self, packed: NDArray[np.int32]) -> Decoded:
        """A call on the device, for some packed `Rows`."""
        with self._failing():
            self._store, out = self._compiled[len(packed)](self._served.weights, self._store, packed)
            return DECODED.fields(np.asarray(out))

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Counts a call on the device, and makes good for one that fails, with a CharreplError.

        That is a DeviceLostError where it fails again before any call succeeds: it would for ever.
        """
        self._calls += 1
        try:
            yield
        except CharreplError:
            raise
        except Exception as error:  # out of memory, a lost device: whatever the runtime raises
            log.exception("the device failed")
            compiled_programs.forget()
            why, self._failures = f"the device failed ({reason(error)})", self._failures + 1
            try:
                self._make_store()  # it was donated, so it is gone with the call
            except Exception as again:
                raise DeviceLostError(f"{why}, and did not come back ({reason(again)})") from error
            self._lose_carries()
            if self._failures > 1:
                raise DeviceLostError(f"{why} twice in a row") from error
            raise CharreplError(f"{why}: type on, or run charrepl-daemon restart", code="device") from error
        self._failures = 0

    def _lose_carries(self) -> None:
        """Forgets what every slot holds: sessions and passages go on from their texts."""
        self._reading.clear()
        self._cache.clear()

    def stats(self) -> dict[str, Any]:
        """What `status` tells about this model."""
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


def _budget(w: Generation, most: int) -> int:
    """How many characters a call that writes at most so many may write for it."""
    return 0 if w.unread else min(_SHORT_PIECE if w.ahead else most, w.left)
