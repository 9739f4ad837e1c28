"""What is being written after a text, piece by piece, for one writer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from charrepl.protocol import Decoding
from charrepl_daemon.sessions import ZERO_SLOT

NEVER = -np.inf  # the threshold of a ghost that is not cut


class Writing:
    """A ghost or a passage being written: what it continues, how, and how far it has come."""

    def __init__(
        self,
        *,
        session: tuple[Hashable, int],
        tokens: Sequence[int],
        position: int,
        max_chars: int,
        decoding: Decoding,
        ends: NDArray[np.bool_],
        least: float = NEVER,
        rank: int = -1,
        own_slot: int = ZERO_SLOT,
        unread: int = 0,
        kept: bool = True,
    ) -> None:
        self.session = session  # the writer, and where the window starts
        self.tokens = list(tokens)  # of the window: the implicit newline, the text, what was written
        self.position = position  # in the whole text, of the next character
        self.left = max_chars
        self.decoding = decoding
        self.ends = ends
        self.least = least
        self.rank = rank
        self.own_slot = own_slot  # holds its carry where it is not cached by text
        self.unread = unread  # characters of the text still to be read, as far as is known
        self.kept = kept  # whether its carries are of use when it is done
        self.text = ""
        self.log_probs: list[float] = []
        self.joint = 0.0
        self.seen = False
        self.done = False
        self.store = 0  # in which of the engine's stores `own_slot` was written

    @property
    def begun(self) -> bool:
        """Whether anything was written yet."""
        return bool(self.text)
