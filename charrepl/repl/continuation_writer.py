"""Lets the model continue the text: one passage at a time. Its lines are printed when they are complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from charrepl.errors import CharreplError
from charrepl.writing.continuation import Continuation
from charrepl.writing.session import Session


class ContinuationWriter:
    """Lets the model write passages.

    `print_lines` gets complete lines of a passage, and whether they are its first. `finished` is called once
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
        """Begins a passage after the draft and `typed`. No other passage may be in progress."""
        passage = self.passage = Continuation(typed, kept=kept)
        self._task = asyncio.get_running_loop().create_task(self._write(passage, most))

    def stop(self) -> None:
        """Ends the passage in progress, if there is one. What is written of it stays."""
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
                self._task = None  # which is this task
                self.stop()
        if failure:  # only now: when the line changed, it cleared earlier notices
            self._session.tell(failure)
