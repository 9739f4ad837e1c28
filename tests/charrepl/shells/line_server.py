"""A line socket whose ghosts are known, and which tells what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
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
        writers = []

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            talks.append(asyncio.create_task(self._converse(reader, writer)))

        talks: list[asyncio.Task[None]] = []
        server = await asyncio.start_unix_server(connected, self._path)
        self._listening.set()
        await self._end.wait()
        self._loop.remove_reader(server.sockets[0].fileno())
        for _ in range(3):  # who is being let in is in: else `close` would leave that socket to nobody
            await asyncio.sleep(0)
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        for _ in range(3):  # until that is done
            await asyncio.sleep(0)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answered(frame: bytes) -> None:
            writer.write(frame)
            await writer.drain()

        conversation = Conversation(self._suggest, answered, settings=LineSettings(), within_s=30)
        with contextlib.suppress(OSError):  # it has left
            await conversation.follow(frames.split(lambda: reader.read(65536)))
        writer.transport.abort()

    async def _suggest(self, request: SuggestionRequest, *, timeout_s: float) -> Suggestions:
        self.asked.append(request)
        if self.silent:
            await self._end.wait()
        typed = request.before.rpartition("\n")[2]
        known = self._line.startswith(typed) and self._line != typed
        return Suggestions((self._line[len(typed) :],) if known else ())
