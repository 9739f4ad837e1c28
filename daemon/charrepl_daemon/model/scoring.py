"""How well a model predicts a text: in f32, whatever ghosts are served in, so that machines agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrepl.errors import CharreplError
from charrepl.text import graphemes
from charrepl.wire import protocol
from charrepl.wire.context_window import STRIDE, window_start
from charrepl_daemon.model import adaptation, compiled_programs, programs
from charrepl_daemon.model.programs import SCORED
from charrepl_daemon.model.serving_lstm import Weights
from charrepl_train.text.vocabulary import Vocabulary


class Scorer:
    """A model's program for scoring; nothing is kept between two pieces of a text."""

    def __init__(
        self, weights: Weights, shape: tuple[int, int, int], vocabulary: Vocabulary, *, digest: str
    ) -> None:
        self._weights = weights
        self._numbers = int(np.prod(shape))  # of a carry
        self._vocabulary = vocabulary
        self._digest = digest
        self._shape = shape
        self._program: Callable[..., Any] | None = None

    @property
    def ready(self) -> bool:
        """Whether a score needs no compiling."""
        return self._program is not None

    def compile(self) -> None:
        """Makes the program ready."""
        nothing = self._zero_carry(), np.zeros(SCORED, np.int32), np.int32(0), adaptation.no_text(1)
        self._program = compiled_programs.program(
            programs.score_program(self._shape),
            self._weights,
            *nothing,
            name="score",
            returns=(0, 0),
            constants=self._shape,
        )

    def _zero_carry(self) -> NDArray[np.float32]:
        return np.zeros((1, self._numbers), np.float32)

    def score(
        self, text: str, carry: bytes, digest: str, *, before: str | None = None
    ) -> tuple[bytes, list[float]]:
        """The carry after `text` and the log-probability of each of its characters, in nats.

        Where the model reads several characters of the text as one letter, the first has all of it, and the
        others have 0. An empty `carry` is the zero carry after an implicit newline. `before` is the text
        before them in their window, if the model is to adapt to it. Raises CharreplError if `carry` is not
        one of this model's.
        """
        ids, owners = self._vocabulary.encode_aligned(text)
        numbers = np.frombuffer(carry, np.float32) if len(carry) % 4 == 0 else np.full(1, np.nan)
        if not np.isfinite(numbers).all():
            raise CharreplError("the carry is not one that this daemon gave: start again", code="bad_carry")
        if carry and (digest != self._digest or len(numbers) != self._numbers):
            raise CharreplError(
                "the model changed while the text was read: start again", code="model_changed"
            )
        state = numbers.reshape(1, -1) if carry else self._opened()
        said = adaptation.no_text(1)
        seen = None if before is None else self._vocabulary.encode("\n" + before)
        found = np.zeros(len(text))
        for begin in range(0, len(ids), SCORED):  # one piece, but for the few letters that unfold
            piece = ids[begin : begin + SCORED]
            padded = np.zeros(SCORED, np.int32)
            padded[: len(piece)] = piece
            if seen is not None:
                adaptation.fill(said, 0, np.concatenate((seen, ids[:begin])))
            state, log_probs = self._read(state, padded, len(piece), said)
            np.add.at(found, owners[begin : begin + SCORED], np.asarray(log_probs)[: len(piece)])
        return np.asarray(state).tobytes(), found.tolist()

    def _opened(self) -> Any:
        """The carry after the implicit newline that every text starts with."""
        newline = np.zeros(SCORED, np.int32)
        newline[0] = self._vocabulary.newline
        return self._read(self._zero_carry(), newline, 1, adaptation.no_text(1))[0]

    def _read(
        self, carry: Any, tokens: NDArray[np.int32], count: int, said: adaptation.AdaptationText
    ) -> tuple[Any, Any]:
        assert self._program is not None
        after, log_probs = self._program(self._weights, carry, tokens, np.int32(count), said)
        return after, log_probs


def next_piece(request: protocol.Score, scored: int) -> tuple[str, str | None]:
    """What to score at one go, and what its window has before it, if it adapts.

    Raises CharreplError if that was not sent.
    """
    length = request.offset + len(request.before) + scored
    start = window_start(length)
    if request.adapt and request.offset > start:
        raise CharreplError(
            f"offset {request.offset} leaves out characters from {start} on that adapting reads: send them",
            code="bad_offset",
        )
    most = min(SCORED, STRIDE - length % STRIDE)  # the next window begins elsewhere
    piece = request.text[scored : graphemes.cut(request.text, scored, most)]
    if not request.adapt:
        return piece, None
    whole = request.before + request.text[:scored]
    return piece, whole[start - request.offset :]
