"""`charrepl pipe`: the line protocol on standard input and output, for a shell's coprocess."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading

from charrepl.line_protocol import frames
from charrepl.line_protocol.conversation import Conversation
from charrepl.line_protocol.counted_suggestions import CountedSuggestions
from charrepl.line_protocol.settings import LineSettings

_PIECE_BYTES = 1 << 16


async def run(settings: LineSettings, *, endpoint: str | None, within_s: float) -> None:
    """Answers until standard input ends. Raises OSError if nobody reads standard output.

    There is an answer within `within_s` whatever happens to the daemon. One is started if there is none.
    """
    from charrepl.suggestions.suggester import Suggester

    pieces = asyncio.Queue[bytes](maxsize=1)
    loop = asyncio.get_running_loop()
    # Not a reader of the event loop: it would make the input non-blocking for others who have it too.
    threading.Thread(target=_read, args=(loop, pieces), name="input", daemon=True).start()
    async with Suggester(endpoint=endpoint, name=settings.host or "pipe") as suggester:
        suggest = CountedSuggestions(suggester.suggest)
        conversation = Conversation(suggest, _write, settings=settings, within_s=within_s)
        async with suggest.kept():
            await conversation.follow(frames.split(pieces.get))


def _read(loop: asyncio.AbstractEventLoop, pieces: asyncio.Queue[bytes]) -> None:
    data = b"\0"
    while data:
        try:
            data = os.read(0, _PIECE_BYTES)
        except OSError:
            data = b""
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            asyncio.run_coroutine_threadsafe(pieces.put(data), loop).result()


async def _write(frame: bytes) -> None:
    sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()
