"""A line socket whose ghosts are known, and which tells what it was asked."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Self

from charrepl.line_protocol import frames
from charrepl.line_protocol.conversation import Conversation
from charrepl.line_protocol.settings import LineSettings
from charrepl.suggestions.request import SuggestionRequest, Suggestions


class LineServer:
    """Goes on with `line` whatever was before it. `silent` until told otherwise, it answers nothing."""

    def __init__(self, path: Path, line: str) -> None:
        self.asked: list[SuggestionRequest] = []
        self.silent = False
        self._path = path
        self._line = line
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._listening = threading.Event()
        self._end = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()
        self._path.unlink(missing_ok=True)

    @property
    def lines(self) -> list[str]:
        """What was asked for, without what was before the line."""
        return [request.before.rpartition("\n")[2] for request in self.asked]

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._converse, self._path)
        self._listening.set()
        await self._end.wait()
        server.close()
        for _ in range(3):  # who has just connected is let in, so that cancelling it closes its socket
            await asyncio.sleep(0)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answered(frame: bytes) -> None:
            writer.write(frame)
            await writer.drain()

        conversation = Conversation(self._suggest, answered, settings=LineSettings(), within_s=30)
        try:
            await conversation.follow(frames.split(lambda: reader.read(65536)))
        except OSError:
            pass  # it has left
        finally:
            writer.transport.abort()

    async def _suggest(self, request: SuggestionRequest, *, timeout_s: float) -> Suggestions:
        self.asked.append(request)
        if self.silent:
            await self._end.wait()
        typed = request.before.rpartition("\n")[2]
        known = self._line.startswith(typed) and self._line != typed
        return Suggestions((self._line[len(typed) :],) if known else ())
