"""What to work out while nobody asks: the window that a text is about to move on to."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable

from charrepl import protocol
from charrepl.errors import reason
from charrepl_daemon.engine import Engine
from charrepl_daemon.writing import Writing

log = logging.getLogger(__name__)

_MOST = 256  # writers remembered


class Idle:
    """The texts last asked about, and the reading ahead for them; used by the device's thread.

    It is done in small steps, any of which a request may come before, and it changes no answer: all it
    leaves are carries in the cache.
    """

    def __init__(self) -> None:
        self._texts: OrderedDict[Hashable, tuple[Engine, protocol.Complete]] = OrderedDict()
        self._reading: tuple[Engine, Writing] | None = None

    def note(self, session: Hashable, engine: Engine, request: protocol.Complete) -> None:
        """Remembers what a writer has typed last."""
        self._texts[session] = engine, request
        self._texts.move_to_end(session)
        if len(self._texts) > _MOST:
            self._texts.popitem(last=False)

    @property
    def pending(self) -> bool:
        """Whether `step` has something to do, or to find out."""
        return self._reading is not None or bool(self._texts)

    def step(self) -> None:
        """A small step for one writer, if any is left. What goes wrong is logged: nobody asked for it."""
        try:
            self._step()
        except Exception as error:
            log.warning("reading ahead failed: %s", reason(error))

    def _step(self) -> None:
        if not self.pending:
            return
        if self._reading is None:
            session, (engine, request) = self._texts.popitem()  # whoever typed last, first
            writing = engine.next_window(session, request.text, request.offset)
            self._reading = None if writing is None else (engine, writing)
            return
        engine, writing = self._reading
        self._reading = None  # unless it can go on
        engine.step([writing])
        if not writing.done:
            self._reading = engine, writing
