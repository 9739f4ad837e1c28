"""One model on the device: its weights, its store of carries, and the programs that use them.

Used by one thread, save for `compile`, which any thread may call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError, reason
from charrepl.protocol import Decoding, Stop
from charrepl.window import STRIDE, window_start
from charrepl_daemon import programs
from charrepl_daemon.precision import Wish, served
from charrepl_daemon.programs import MAX_FED, PIECE, SCORED, Decoded, Rows
from charrepl_daemon.sessions import (
    RECENT,
    RESERVED_SLOTS,
    SCRATCH_SLOT,
    ZERO_SLOT,
    CacheFullError,
    CarryCache,
    Node,
)
from charrepl_daemon.writing import NEVER, Writing
from charrepl_train import checkpoint, device

log = logging.getLogger(__name__)

_BATCHES = (1, 8, 32)  # rows a program takes; more writers at once are served in turn
_GPU_BATCHES = (*_BATCHES, 128)
_SENTENCE_ENDS = ".!?。！？…\n"


class Engine:
    """A model that is ready to write.

    `cache_bytes` bounds the carries it keeps. Raises CharreplError if the model in `directory` is
    missing, damaged, or does not compute.
    """

    def __init__(self, directory: Path, *, cache_bytes: int, precision: Wish = "auto") -> None:
        began = time.monotonic()
        loaded = checkpoint.load_model(directory)
        self.directory = directory
        self.digest = loaded.digest
        self.vocabulary = loaded.vocabulary
        config = loaded.config.model
        self._served = served(loaded.params, precision, newline=self.vocabulary.newline, digest=loaded.digest)
        self._shape = (config.layers, 2, config.hidden_size)
        carry_bytes = 4 * int(np.prod(self._shape))
        slots = max(cache_bytes // carry_bytes, RESERVED_SLOTS + 4 * RECENT)
        self._cache = CarryCache(slots)
        self._slots = slots
        self._ends: dict[Stop, NDArray[np.bool_]] = {
            "none": np.zeros(len(self.vocabulary), bool),
            "line": self.vocabulary.mask("\n"),
            "sentence": self.vocabulary.mask(_SENTENCE_ENDS),
        }
        self._serve = jax.jit(
            programs.serve_program(self._shape, self.vocabulary.visible()), donate_argnums=1
        )
        self._compiled: dict[int, Callable[..., tuple[jax.Array, Decoded]]] = {}
        self._compiling = threading.Lock()
        self.batches = _GPU_BATCHES if device.has_gpu() else _BATCHES
        self._passages = 0
        self._store_number = 0  # counts the times that every carry was lost
        store = self._slots, int(np.prod(self._shape))
        self._zeros = jax.jit(lambda: jnp.zeros(store)).lower().compile()
        self._make_store()
        self.compile(1)
        piece = np.zeros(SCORED, np.int32)
        score = jax.jit(programs.score_program(self._shape))
        self._score = score.lower(self._served.exact, self._zero_carry(), piece, np.int32(0)).compile()
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

    def _zero_carry(self) -> NDArray[np.float32]:
        return np.zeros((1, int(np.prod(self._shape))), np.float32)

    def compile(self, batch: int) -> None:
        """Makes the program for `batch` rows ready. Harmless to repeat."""
        with self._compiling:
            if batch not in self._compiled:
                store = jax.ShapeDtypeStruct(self._store.shape, self._store.dtype)
                lowered = self._serve.lower(self._served.weights, store, self._rows(batch))
                self._compiled[batch] = lowered.compile()

    @property
    def widest(self) -> int:
        """The most rows that one step can take now."""
        return max(self._compiled)

    def _canary(self) -> None:
        """Raises CharreplError unless the model writes, with real probabilities."""
        writing = self.passage("\n", 0, max_chars=PIECE, stop="none", decoding=Decoding())
        while not writing.done:
            self.step([writing])
        self.release(writing)
        if not np.isfinite(writing.log_probs).all():
            raise CharreplError(
                f"the weights in {self.directory} are not numbers: train or copy the model again",
                code="bad_model",
            )

    # What a request becomes

    def ghosts(
        self,
        session: Hashable,
        text: str,
        offset: int,
        *,
        max_chars: int,
        stop: Stop,
        alternatives: int,
        min_confidence: float,
        decoding: Decoding,
    ) -> list[Writing]:
        """The ghosts to write after `text`, of which `offset` characters are left out before it.

        Raises CharreplError if the part left out reaches into the window.
        """
        tokens, position, start = self._window(text, offset)
        key = (session, start)
        unread = self._cache.unread(key, tokens)

        def writing(rank: int, own_slot: int) -> Writing:
            return Writing(
                session=key,
                tokens=tokens,
                position=position,
                max_chars=max_chars,
                # Alternatives differ in their first character, and each goes on as is likeliest.
                decoding=decoding if rank < 0 else Decoding(),
                ends=self._ends[stop],
                least=np.log(min_confidence) if min_confidence > 0 and rank < 0 else NEVER,
                rank=rank,
                own_slot=own_slot,
                unread=unread,
            )

        if alternatives == 1:
            return [writing(-1, ZERO_SLOT)]
        count = min(alternatives, len(self.vocabulary) - 1)
        own = self._cache.take_free(count - 1)
        return [writing(rank, own[rank - 1] if rank else ZERO_SLOT) for rank in range(count)]

    def passage(self, text: str, offset: int, *, max_chars: int, stop: Stop, decoding: Decoding) -> Writing:
        """The passage to write after `text`; `release` it in the end."""
        tokens, position, _ = self._window(text, offset)
        self._passages += 1
        return Writing(
            session=(("passage", self._passages), 0),
            kept=False,
            unread=len(tokens),
            tokens=tokens,
            position=position,
            max_chars=max_chars,
            decoding=decoding,
            ends=self._ends[stop],
            own_slot=self._cache.take_free(1)[0],
        )

    def next_window(self, session: Hashable, text: str, offset: int) -> Writing | None:
        """What reads ahead for when the window moves on; None unless that is near and there is much to read.

        It writes nothing.
        """
        length = offset + len(text)
        start = length // STRIDE * STRIDE
        if start <= offset or length - start < STRIDE // 2:
            return None
        ids = self.vocabulary.encode(text[start - offset :])
        tokens = [self.vocabulary.newline, *ids.tolist()]
        unread = self._cache.unread((session, start), tokens)
        if unread < MAX_FED:
            return None
        return Writing(
            session=(session, start),
            tokens=tokens,
            position=length,
            max_chars=0,
            decoding=Decoding(),
            ends=self._ends["none"],
            unread=unread,
        )

    def _window(self, text: str, offset: int) -> tuple[list[int], int, int]:
        length = offset + len(text)
        start = window_start(length)
        if offset > start:
            raise CharreplError(
                f"offset {offset} leaves out characters from {start} on that the model reads: send them",
                code="bad_offset",
            )
        ids = self.vocabulary.encode(text[start - offset :])
        return [self.vocabulary.newline, *ids.tolist()], length, start

    def release(self, writing: Writing) -> None:
        """Gives back what a writing holds; call it once, when it is done or given up."""
        writing.done = True
        if writing.own_slot:
            self._cache.give_back([writing.own_slot])
            writing.own_slot = ZERO_SLOT
        if not writing.kept:
            self._cache.forget(writing.session)

    # Computing

    def step(self, writings: Sequence[Writing]) -> None:
        """Reads or writes the next piece of each, or of the first few if the cache has room for no more.

        At most `widest` at once. Those with much to read read `MAX_FED` characters, and write when there
        are none `unread`. What can still be written afterwards has `done` unset. Raises CharreplError if
        not even one fits, or if the device failed; every carry is then computed anew when it is needed.
        """
        batch = next(b for b in sorted(self._compiled) if b >= len(writings))
        rows = self._rows(batch)
        going: list[Writing] = []
        nodes: list[Node | None] = []
        held: set[int] = set()
        feeding: set[Hashable] = set()
        try:
            for w in writings:
                if w.session in feeding:  # an alternative: its text is being read in another row
                    continue
                i = len(going)
                try:
                    nodes.append(self._start(rows, i, w, held))
                except CacheFullError:
                    if not nodes:
                        raise
                    break
                going.append(w)
                if rows.count[i]:
                    feeding.add(w.session)
                self._fill(rows, i, w)
            out = self._call(rows)
        except BaseException:
            # Slots may be taken for carries that were never computed.
            for i, node in enumerate(nodes):
                if node is not None:
                    self._cache.give_back(rows.keep[i].tolist())
            self._lose_carries()
            raise
        for i, (w, node) in enumerate(zip(going, nodes, strict=True)):
            count = int(out.count[i])
            tokens = out.tokens[i, :count].tolist()
            if node is not None:
                self._cache.extend(w.session, node, tokens, rows.keep[i].tolist())
            w.tokens += tokens
            w.text += self.vocabulary.decode(out.tokens[i, :count])
            w.log_probs += out.log_probs[i, :count].tolist()
            w.position += count
            w.left -= count
            w.joint = float(out.joint[i])
            w.seen = bool(out.seen[i])
            w.done = not w.unread and (bool(out.done[i]) or w.left <= 0)
            w.store = self._store_number

    def _start(self, rows: Rows, i: int, w: Writing, held: set[int]) -> Node | None:
        """Fills in where row `i` starts from; its node, if its carries are cached by text."""
        if w.own_slot and w.begun and w.store == self._store_number:
            rows.read[i] = w.own_slot
            rows.keep[i] = w.own_slot
            return None
        plan = self._cache.plan(w.session, w.tokens, held, most=MAX_FED)
        fed = w.tokens[plan.known : plan.known + len(plan.writes)]
        w.unread = len(w.tokens) - plan.known - len(fed)
        rows.read[i] = plan.read
        rows.count[i] = len(fed)
        rows.tokens[i, : len(fed)] = fed
        rows.write[i, : len(fed)] = plan.writes
        if w.unread or not w.left:
            return None
        if w.own_slot:
            rows.keep[i] = w.own_slot
            return None
        rows.keep[i] = self._cache.take_free(PIECE, held)
        return plan.node

    @staticmethod
    def _fill(rows: Rows, i: int, w: Writing) -> None:
        rows.budget[i] = 0 if w.unread else min(PIECE, w.left)
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

    def _rows(self, batch: int) -> Rows:
        def full(value: float, kind: Any, *shape: int) -> NDArray[Any]:
            return np.full((batch, *shape), value, kind)

        return Rows(
            tokens=full(0, np.int32, MAX_FED),
            count=full(0, np.int32),
            read=full(ZERO_SLOT, np.int32),
            write=full(SCRATCH_SLOT, np.int32, MAX_FED),
            keep=full(SCRATCH_SLOT, np.int32, PIECE),
            budget=full(0, np.int32),
            position=full(0, np.int32),
            seed=full(0, np.uint32),
            temperature=full(0, np.float32),
            top_k=full(0, np.int32),
            top_p=full(1, np.float32),
            rank=full(-1, np.int32),
            least=full(NEVER, np.float32),
            joint=full(0, np.float32),
            seen=full(False, np.bool_),
            ends=full(False, np.bool_, len(self.vocabulary)),
        )

    def _call(self, rows: Rows) -> Decoded:
        try:
            self._store, out = self._compiled[len(rows.count)](self._served.weights, self._store, rows)
            return Decoded(*jax.device_get(out))
        except Exception as error:  # out of memory, a lost device: whatever the runtime raises
            self._make_store()  # it was donated, so it is gone with the call
            self._lose_carries()
            log.exception("the device failed")
            raise CharreplError(
                f"the device failed ({reason(error)}): type on, or run charrepl-daemon restart",
                code="device",
            ) from error

    def _lose_carries(self) -> None:
        """Forgets what every slot holds: sessions and passages go on from their texts."""
        self._cache.clear()
        self._store_number += 1

    def score(self, text: str, carry: bytes, digest: str) -> tuple[bytes, list[float]]:
        """The carry after `text` and the log-probability of each of its characters, in nats.

        At most `SCORED` characters; an empty `carry` is the zero carry after an implicit newline.
        Raises CharreplError if `carry` is not one of this model's.
        """
        ids = self.vocabulary.encode(text)
        numbers = np.frombuffer(carry, np.float32) if len(carry) % 4 == 0 else np.full(1, np.nan)
        if not np.isfinite(numbers).all():
            raise CharreplError("the carry is not one that this daemon gave: start again", code="bad_carry")
        if carry and (digest != self.digest or len(carry) != 4 * int(np.prod(self._shape))):
            raise CharreplError(
                "the model changed while the text was read: start again", code="model_changed"
            )
        state = numbers.reshape(1, -1) if carry else self._opened()
        padded = np.zeros(SCORED, np.int32)
        padded[: len(ids)] = ids
        state, log_probs = self._score(self._served.exact, state, padded, np.int32(len(ids)))
        return np.asarray(state).tobytes(), np.asarray(log_probs)[: len(ids)].tolist()

    def _opened(self) -> Any:
        """The carry after the implicit newline that every text starts with."""
        newline = np.zeros(SCORED, np.int32)
        newline[0] = self.vocabulary.newline
        return self._score(self._served.exact, self._zero_carry(), newline, np.int32(1))[0]

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
        }
