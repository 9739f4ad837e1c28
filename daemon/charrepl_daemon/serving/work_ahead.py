"""What to compute while nobody asks: how a ghost continues after it is taken, and the next window."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator

from charrepl.errors import reason
from charrepl.wire import protocol
from charrepl_daemon.engine.carry_cache import CacheFullError
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine

log = logging.getLogger(__name__)

_MOST = 256  # writers remembered
_QUIET_S = 0.005  # without a request before it begins: no person asks as fast as that
_FRESH_S = 10.0  # after which a writer is taken to have stopped


class _Work:
    """What is left to do for a writer, noted at `noted`, in seconds."""

    def __init__(self, engine: Engine, generations: Iterator[Generation]) -> None:
        self.noted = time.monotonic()
        self.engine = engine
        self._generations = generations
        self._writing: Generation | None = None  # under way

    def step(self) -> bool:
        """Does a little of it, or finds out what to do next. Returns whether there was anything to do."""
        if self._writing is None:
            self._writing = next(self._generations, None)
            return self._writing is not None
        self.engine.step([self._writing])
        if self._writing.done:
            self._writing = None
        return True


class WorkAhead:
    """The ghosts last sent, and the work ahead for them; used by the device's thread.

    It is done in small steps, and a request may come before each of them. It changes no answer: it only
    leaves carries in the cache, and the characters written on the way.
    """

    def __init__(self) -> None:
        self._works: OrderedDict[Hashable, _Work] = OrderedDict()  # whoever typed last is last

    def note(
        self, session: Hashable, engine: Engine, request: protocol.Complete, ghost: Generation | None
    ) -> None:
        """Records what a writer typed last, and the ghost, if there is only one."""
        self.leave(session)
        work = self._works[session] = _Work(engine, _works(session, engine, request, ghost))
        # A client that has left does not come back for it, and it holds an engine, perhaps a replaced one.
        while len(self._works) > _MOST or next(iter(self._works.values())).noted < work.noted - _FRESH_S:
            self._works.popitem(last=False)

    def leave(self, session: Hashable) -> None:
        """Drops the work for a writer, who has sent a new request."""
        self._works.pop(session, None)

    def spare(self, engine: Engine) -> None:
        """Drops all that was to be done with an engine, which is to go."""
        for session in [session for session, work in self._works.items() if work.engine is engine]:
            self.leave(session)

    def wait_s(self) -> float | None:
        """In how many seconds there is a step to do, if nobody asks for anything; None for never."""
        if not self._works:
            return None
        newest = next(reversed(self._works.values()))
        return max(0.0, newest.noted + _QUIET_S - time.monotonic())

    def step(self) -> None:
        """A small step for the writer who typed last, if it is time for one.

        Raises CharreplError if the device failed; the work is given up then.
        """
        if self.wait_s() != 0.0:
            return
        session, work = next(reversed(self._works.items()))
        if time.monotonic() > work.noted + _FRESH_S:
            self._works.clear()  # the others are older
            return
        try:
            if not work.step():
                self.leave(session)
        except CacheFullError:
            self.leave(session)
        except Exception as error:
            self.leave(session)
            log.warning("working ahead failed: %s", reason(error))
            raise


def _works(
    session: Hashable, engine: Engine, request: protocol.Complete, ghost: Generation | None
) -> Iterator[Generation]:
    """What is worth doing for a writer, the most urgent first; planned when it is its turn."""
    ahead = None if ghost is None else engine.planner.ahead(ghost)
    if ahead is not None:
        yield ahead
    window = engine.planner.next_window(session, request.text, request.offset)
    if window is not None:
        yield window
