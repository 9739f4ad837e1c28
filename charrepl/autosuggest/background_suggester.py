"""A suggester on a thread of its own, for a program whose own thread must not wait."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from charrepl.suggestions.keys_saved import KeysSaved

if TYPE_CHECKING:
    from charrepl.suggestions.request import SuggestionRequest, Suggestions
    from charrepl.suggestions.suggester import Suggester

_CLOSING_S = 1.0  # how long the end of the program waits for the thread


class BackgroundSuggester:
    """Asks for suggestions. Its thread starts with the first request and ends with the program.

    A forked child gets a thread of its own. `counts` are written now and then.
    """

    def __init__(self, *, endpoint: str | None, name: str, counts: KeysSaved) -> None:
        self._endpoint = endpoint
        self._name = name
        self._counts = counts
        self._pid = 0  # of the process whose thread it is
        self._suggester: Suggester | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a daemon to ask."""
        return self._pid == os.getpid() and self._suggester is not None and self._suggester.link.ready

    @property
    def condition(self) -> str:
        """The daemon's condition, in a few words."""
        return self._suggester.condition if self._suggester is not None else "not asked yet"

    def ask(self, request: SuggestionRequest, *, timeout_s: float) -> Future[Suggestions]:
        """What `Suggester.suggest` answers, within `timeout_s`. Cancelling it ends the decoding."""
        if self._pid != os.getpid():
            self._begin()
        return asyncio.run_coroutine_threadsafe(self._suggest(request, timeout_s), self._loop)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._suggester = None
        self._loop = asyncio.new_event_loop()
        self._open, self._end = asyncio.Event(), asyncio.Event()
        # A daemon thread: a program that ends must not wait for a daemon that starts.
        self._thread = threading.Thread(target=self._run, args=(self._keep(),), name="charrepl", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        # Nothing may be printed into somebody's prompt.
        self._loop.set_exception_handler(lambda loop, context: None)
        with contextlib.suppress(Exception), asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(work)

    async def _keep(self) -> None:
        from charrepl.suggestions.suggester import Suggester  # here, so that no key waits for the import

        suggester = Suggester(endpoint=self._endpoint, name=self._name, own_process=False)
        async with suggester, self._counts.kept_written():
            self._suggester = suggester
            self._open.set()
            await self._end.wait()

    async def _suggest(self, request: SuggestionRequest, timeout_s: float) -> Suggestions:
        from charrepl.suggestions.request import Suggestions

        try:
            async with asyncio.timeout(timeout_s):
                await self._open.wait()
                assert self._suggester is not None
                return await self._suggester.suggest(request, timeout_s=timeout_s)
        except TimeoutError:
            return Suggestions(outcome="unavailable")

    def close(self) -> None:
        """Ends the thread, which writes the counts first. The next request starts another."""
        if self._pid == os.getpid():
            with contextlib.suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(_CLOSING_S)
        self._pid = 0
        atexit.unregister(self.close)
