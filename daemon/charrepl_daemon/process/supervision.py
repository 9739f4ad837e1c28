"""Tasks that the daemon needs. If one fails, the daemon ends, and the next client starts another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from charrepl.errors import CharreplError

log = logging.getLogger(__name__)


class Supervision:
    """The tasks of one event loop. `stop` is called when one has failed."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.failure: BaseException | None = None  # the first failure
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()

    def keep_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a task until it ends or `cancel` is called."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.give_up(error)

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    def give_up(self, error: BaseException) -> None:
        """Records an error after which the daemon cannot go on."""
        if self.failure is None:
            told = isinstance(error, CharreplError)
            log.critical("cannot go on: %s", error, exc_info=None if told else error)
            self.failure = error
        self._stop()

    def callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Records an error that nobody handled: somebody may be waiting for what was not done."""
        error = context.get("exception")
        if error is not None and "handle" in context:
            self.give_up(error)
        else:
            loop.default_exception_handler(context)

    async def cancel(self) -> None:
        """Ends the tasks."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def soon(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """Calls a function in an event loop, from another thread. Does nothing if the loop has ended."""
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise
