"""Suggestions for any host: what the daemon writes, decided upon, superseded and bounded in time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.suggestions import fitting
from charrepl.suggestions.off_switch import OffSwitch
from charrepl.suggestions.request import (
    MOST_ALTERNATIVES,
    SuggestionRequest,
    Suggestions,
)
from charrepl.writing.daemon_link import DaemonLink

# Between two attempts to ask a daemon that is busy, or does not read.
_AGAIN_S = 0.1


class _Asked:
    """A request under way, which equal ones share."""

    def __init__(self, request: SuggestionRequest) -> None:
        self.request = request
        self.task: asyncio.Task[None] | None = None
        # Who share it, each with a future of its own: to shield one from the others takes a turn of the loop.
        self.waiting: set[asyncio.Future[Suggestions]] = set()

    def settle(self, answer: Suggestions | Exception) -> None:
        """Gives everybody who still waits an answer, or raises an error there."""
        for future in self.waiting:
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Suggester:
    """The suggestions for all documents of a host, of one event loop: `async with Suggester(...)`.

    It has a connection to the daemon, which comes back by itself. It starts a daemon if there is none.
    `changed` is called when `condition` may have changed; for `own_process`, see `DaemonLink`.
    """

    def __init__(self, *, endpoint: str | None = None, name: str = "host", own_process: bool = True) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._endpoint = endpoint
        self._off_switch = OffSwitch()
        self._link = DaemonLink(model="", host=name, pins_default=False, own_process=own_process)
        self._link.changed = self._look
        self._ready = asyncio.Event()
        self._asked: dict[str, _Asked] = {}  # the newest of each document
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._link.keep(self._endpoint))
        return self

    async def __aexit__(self, *_: object) -> None:
        for asked in list(self._asked.values()):
            self._end(asked)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    @property
    def link(self) -> DaemonLink:
        """The connection: its `condition` in words, `models` and others."""
        return self._link

    @property
    def prepared(self) -> bool:
        """Whether there is a daemon that answers at once."""
        return self._link.prepared

    @property
    def condition(self) -> str:
        """The daemon's condition, in a few words."""
        if self._keeping is not None and self._keeping.done() and not self._keeping.cancelled():
            return str(self._keeping.exception() or "no daemon")
        return self._link.condition

    def why_off(self, host: str = "", path: Path | None = None) -> str:
        """Why ghosts are off, in one line; see `OffSwitch.why_off`."""
        return self._off_switch.why_off(host, path)

    async def suggest(self, request: SuggestionRequest, *, timeout_s: float = 1.0) -> Suggestions:
        """What is worth showing, within `timeout_s`; see `Suggestions` for when there is nothing.

        An equal request that is under way shares its answer, and an older one of the same document gets none.
        Cancelling this ends the decoding. Raises CharreplError for what cannot be answered as it is asked,
        such as an unknown model.
        """
        if self.why_off(request.host, request.path):
            return Suggestions(outcome="off")
        asked = self._asked.get(request.document)
        if asked is None or asked.request != request:
            if asked is not None:
                self._end(asked)
            asked = self._begin(request)
        answer: asyncio.Future[Suggestions] = asyncio.get_running_loop().create_future()
        asked.waiting.add(answer)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return Suggestions(outcome="late" if self._link.ready else "unavailable")
        finally:
            asked.waiting.discard(answer)
            if not asked.waiting:
                self._end(asked)

    def _begin(self, request: SuggestionRequest) -> _Asked:
        asked = self._asked[request.document] = _Asked(request)
        asked.task = asyncio.create_task(self._settle(asked))
        return asked

    async def _settle(self, asked: _Asked) -> None:
        try:
            answer: Suggestions | Exception = await self._answer(asked.request)
        except Exception as error:
            answer = error
        self._forget(asked)
        asked.settle(answer)

    def _end(self, asked: _Asked) -> None:
        """Gives up what is under way for a request, if anything is."""
        asked.settle(Suggestions(outcome="superseded"))
        if asked.task is not None:
            asked.task.cancel()
        self._forget(asked)

    def _forget(self, asked: _Asked) -> None:
        if self._asked.get(asked.request.document) is asked:
            del self._asked[asked.request.document]

    async def _answer(self, request: SuggestionRequest) -> Suggestions:
        """The answer, from whichever daemon lives long enough to give it."""
        if not fitting.has_room(request.after):
            return Suggestions()
        while True:
            await self._until_ready()
            try:
                return await self._ask(request)
            except CharreplError as error:
                if error.code == "cancelled":
                    return Suggestions(outcome="superseded")
                if not isinstance(error, DaemonUnavailableError) and error.code not in ("busy", "stopping"):
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def _until_ready(self) -> None:
        while not self._link.ready:
            self._link.wake()
            self._ready.clear()
            await self._ready.wait()

    async def _ask(self, request: SuggestionRequest) -> Suggestions:
        from charrepl.wire import protocol  # after the link's own import, which does not hold up a start

        ghosts: dict[int, protocol.Ghost] = {}
        replies = self._link.complete(
            request.before,
            request.offset,
            max_chars=request.most_chars,
            stop=request.stop,
            alternatives=max(1, min(request.alternatives, MOST_ALTERNATIVES)),
            min_confidence=request.min_confidence,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            adapt=request.adapt,
            part=f"-{_digest(request.document)}",
            model=request.model,
        )
        async for reply in replies:
            if isinstance(reply, protocol.Superseded):
                return Suggestions(outcome="superseded")
            if isinstance(reply, protocol.Ghost):
                ghosts[reply.alternative] = reply
        texts = [
            fitting.fitted(ghosts[rank].text, ghosts[rank].log_probs, request) for rank in sorted(ghosts)
        ]
        return Suggestions(tuple(dict.fromkeys(filter(None, texts))))

    def _look(self) -> None:
        if self._link.ready:
            self._ready.set()
        self.changed()


def _digest(document: str) -> str:
    """A name for a document, which may be a long path, within what a session's may have."""
    return hashlib.blake2b(document.encode("utf-8", "replace"), digest_size=8).hexdigest()
