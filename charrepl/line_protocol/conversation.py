"""One client's texts and the ghosts that answer them, in their order, each within a time."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from charrepl.errors import CharreplError
from charrepl.line_protocol import frames
from charrepl.line_protocol.settings import LineSettings
from charrepl.suggestions.request import SuggestionRequest, Suggestions

# Texts of one client that wait for their answers. The rest of what it sends is read later.
_MOST_WAITING = 16
# A model writes what it has read, and a terminal would obey.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Suggest(Protocol):
    """Who is asked, as `Suggester.suggest`."""

    def __call__(self, request: SuggestionRequest, *, timeout_s: float) -> Awaitable[Suggestions]:
        """Suggestions within a time. Raises CharreplError for what cannot be answered as it is asked."""


class Conversation:
    """Answers the frames of one client. `answered` is given each answer as a frame, with its end.

    Every text has one answer, in its order, which may be empty. If an older text has no answer yet when a
    newer one comes, its answer is empty. What is wrong with the settings is the answer to the texts after
    them.
    """

    def __init__(
        self,
        suggest: Suggest,
        answered: Callable[[bytes], Awaitable[None]],
        *,
        settings: LineSettings,
        within_s: float,
    ) -> None:
        self._suggest = suggest
        self._answered = answered
        self._settings = settings
        self._within_s = within_s
        self._wrong = ""  # with the settings
        self._waiting: deque[asyncio.Task[bytes]] = deque()

    @property
    def waits(self) -> bool:
        """Whether an answer is under way."""
        return bool(self._waiting)

    async def follow(self, texts: AsyncIterator[bytes | None]) -> None:
        """Answers all frames, and returns when the last has its answer. Cancelling it gives up the rest."""
        room = asyncio.Semaphore(_MOST_WAITING)
        sending = asyncio.Queue[asyncio.Task[bytes] | None]()

        async def send() -> None:
            while (task := await sending.get()) is not None:
                await self._answered(await task + frames.END)
                self._waiting.remove(task)
                room.release()

        sender = asyncio.create_task(send())
        reader = asyncio.create_task(self._read(texts, room, sending))
        try:
            # A client that cannot be sent anything need not be read.
            await asyncio.wait([sender, reader], return_when=asyncio.FIRST_EXCEPTION)
            for task in (sender, reader):
                if task.done():
                    task.result()
        finally:
            rest = [sender, reader, *self._waiting]
            for one in rest:
                one.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    async def _read(
        self,
        texts: AsyncIterator[bytes | None],
        room: asyncio.Semaphore,
        sending: asyncio.Queue[asyncio.Task[bytes] | None],
    ) -> None:
        async for frame in texts:
            if frame is not None and frame.startswith(frames.SETTING):
                self._set(frame)
                continue
            await room.acquire()
            task = asyncio.create_task(self._answer(frame, self._settings, self._wrong))
            self._waiting.append(task)
            sending.put_nowait(task)
            await asyncio.sleep(0)  # a client that sends without pause must not keep others waiting
        sending.put_nowait(None)

    def _set(self, frame: bytes) -> None:
        try:
            self._settings, self._wrong = self._settings.changed(frame), ""
        except CharreplError as error:
            self._wrong = str(error)

    async def _answer(self, frame: bytes | None, settings: LineSettings, wrong: str) -> bytes:
        try:
            if frame is None:
                raise CharreplError(
                    f"a text of more than {frames.MOST_BYTES} bytes: send its end, the model reads no more"
                )
            if wrong:
                raise CharreplError(wrong)
            if not frame:
                return b""
            request = settings.request(frame.decode(settings.encoding, "replace"))
            found = await self._suggest(request, timeout_s=self._within_s)
        except CharreplError as error:
            return frames.ERROR + _encoded(" ".join(str(error).splitlines()), settings.encoding)
        return _encoded(found.texts[0], settings.encoding) if found.texts else b""


def _encoded(text: str, encoding: str) -> bytes:
    """`text` up to the first character that its reader's encoding lacks, or that is a control."""
    text = _CONTROL.split(text, maxsplit=1)[0]
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        return text[: error.start].encode(encoding)
