"""Makes requests like all others from what the line socket's clients ask, and ghosts from the replies."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.line_protocol.counted_suggestions import CountedSuggestions
from charrepl.suggestions import fitting
from charrepl.suggestions.off_switch import OffSwitch
from charrepl.suggestions.request import SuggestionRequest, Suggestions
from charrepl.wire import protocol
from charrepl.wire.context_window import windowed
from charrepl_daemon.process.supervision import soon
from charrepl_daemon.sockets.connections import Connection
from charrepl_daemon.sockets.network_guests import Peer

log = logging.getLogger(__name__)

# How many look at the disk at the same time: a look that hangs leaves room for others.
_LOOKERS = 8
_PASSING = ("busy", "stopping", "cancelled")  # the codes of errors that say nothing of what was asked
_FAILED = "the daemon failed on this text: see charrepl-daemon logs"


class LineRequests:
    """The requests under way, of one event loop.

    `handle` takes a peer's request, whose replies come to `send_to`, or raises CharreplError.
    `suggest` answers as `Suggester.suggest`.
    """

    def __init__(self, handle: Callable[[Peer, Connection | None, protocol.Request], None]) -> None:
        self.suggest = CountedSuggestions(self._suggest)
        self._handle = handle
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[protocol.Reply]] = {}
        self._off_switch = OffSwitch()
        self._looks: dict[tuple[str, Path | None], asyncio.Future[str]] = {}
        self._lookers = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="off switch")
        self._loop: asyncio.AbstractEventLoop | None = None

    def send_to(self, identity: bytes, frame: bytes) -> None:
        """Takes a reply, on any thread."""
        if self._loop is not None:
            soon(self._loop, self._replied, frame)

    def _replied(self, frame: bytes) -> None:
        reply = protocol.decode_reply(frame)
        answer = self._answers.get(reply.seq)
        if answer is not None and not answer.done() and protocol.is_final(reply):
            answer.set_result(reply)

    async def keep_counts(self) -> None:
        """Keeps the counts of ghosts written until it is cancelled."""
        async with self.suggest.kept():
            await asyncio.get_running_loop().create_future()

    async def _suggest(self, request: SuggestionRequest, *, timeout_s: float) -> Suggestions:
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                if await self._is_off(request.host, request.path):
                    return Suggestions(outcome="off")
                return self._fitted(request, await self._ask(request))
        except TimeoutError:
            return Suggestions(outcome="late")
        except CharreplError as error:
            if error.code in _PASSING:
                return Suggestions(outcome="unavailable")
            raise
        except Exception as error:  # a bug in one answer must not end the others
            log.exception("a text could not be answered")
            raise CharreplError(_FAILED) from error

    async def _is_off(self, host: str, path: Path | None) -> bool:
        """Whether ghosts are off. If a disk does not answer, this ends when the time is over."""
        look = self._looks.get((host, path))
        if look is None:
            assert self._loop is not None
            look = self._loop.run_in_executor(self._lookers, self._off_switch.why_off, host, path)
            self._looks[host, path] = look
            look.add_done_callback(lambda _: self._looks.pop((host, path)))
        return bool(await asyncio.shield(look))

    async def _ask(self, request: SuggestionRequest) -> protocol.Reply:
        assert self._loop is not None
        seq = next(self._numbers)
        peer = Peer(request.document.encode("utf-8", "replace"), on_lines=True)
        text, offset = windowed(request.before)
        answer: asyncio.Future[protocol.Reply] = self._loop.create_future()
        self._answers[seq] = answer
        try:
            self._handle(
                peer,
                None,
                protocol.Complete(
                    seq=seq,
                    session="line",
                    text=text,
                    offset=offset,
                    model=request.model,
                    max_chars=request.most_chars,
                    stop=request.stop,
                    min_confidence=request.min_confidence,
                    decoding=protocol.Decoding(adapt=request.adapt),
                ),
            )
            return await answer
        finally:
            del self._answers[seq]
            if not answer.done() or answer.cancelled():
                self._handle(peer, None, protocol.Cancel(seq=seq))

    @staticmethod
    def _fitted(request: SuggestionRequest, reply: protocol.Reply) -> Suggestions:
        match reply:
            case protocol.Ghost():
                ghost = fitting.fitted(reply.text, reply.log_probs, request)
                return Suggestions((ghost,) if ghost else ())
            case protocol.Error():
                raise CharreplError(reply.message, code=reply.code)
        return Suggestions(outcome="superseded")
