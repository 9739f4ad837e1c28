"""Lets the model write on: one continuation at a time, whose lines are printed when they are whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from charrepl.errors import CharreplError
from charrepl.writing.continuation import Continuation
from charrepl.writing.session import Session


class ContinuationWriter:
    """Lets the model write passages.

    `print_lines` gets the whole lines of one, and whether they are its first; `finished` is called once
    for each passage, when it has ended, failed or been stopped.
    """

    def __init__(
        self,
        session: Session,
        *,
        print_lines: Callable[[str, Continuation, bool], None],
        grown: Callable[[], None],
        finished: Callable[[Continuation], None],
    ) -> None:
        self.passage: Continuation | None = None
        self._session = session
        self._print_lines = print_lines
        self._grown = grown
        self._finished = finished
        self._task: asyncio.Task[None] | None = None

    def begin(self, typed: str, *, most: int, kept: bool) -> None:
        """Begins a passage after the draft and `typed`; none may be under way."""
        passage = self.passage = Continuation(typed, kept=kept)
        self._task = asyncio.get_running_loop().create_task(self._write(passage, most))

    def stop(self) -> None:
        """Ends the passage as far as it has come, if there is one."""
        passage, self.passage = self.passage, None
        if passage is not None:
            if self._task is not None:
                self._task.cancel()
            self._finished(passage)

    async def _write(self, passage: Continuation, most: int) -> None:
        failure = ""
        try:
            pieces = self._session.write(passage.typed, most=most, kept=passage.kept)
            async for new in pieces:
                passage.add(new)
                first = not passage.begun
                lines = passage.print()
                if lines:
                    self._print_lines(lines, passage, first)
                self._grown()
                if passage.ended:
                    break
        except CharreplError as error:
            failure = str(error)
        finally:
            if self.passage is passage:
                self._task = None  # that is this one
                self.stop()
        if failure:  # after the line has changed, which clears what was told before
            self._session.tell(failure)
