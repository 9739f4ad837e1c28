"""A writing session: the text so far, its ghost, and the requests behind it. No terminal here.

Keys only ever touch memory; whatever the daemon does happens in a task of its own. At most one
request is under way: a newer text replaces it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError, DaemonUnavailableError, reason
from charrepl.ghost import Ghost
from charrepl.window import windowed

# Replies slower than this are mentioned in the toolbar.
SLOW_S = 1.0
# How long a busy daemon is left alone before the same text is asked for once more.
BUSY_S = 0.5
# Before so many ghosts were shown, a share of them is noise.
MEANINGFUL = 5

if TYPE_CHECKING:  # zmq and msgspec take 22 ms to import: only after the first paint
    from charrepl.async_client import AsyncClient, ConnectionState
    from charrepl.protocol import ModelList


@dataclass(slots=True)
class Tally:
    """What became of the ghosts so far."""

    shown: int = 0
    taken: int = 0

    @property
    def acceptance(self) -> float | None:
        """The share of the ghosts shown of which a key took something; None while that says little."""
        return self.taken / self.shown if self.shown >= MEANINGFUL else None


class Session:
    """The text the model sees: committed lines, each with its newline, and the line up to the cursor."""

    def __init__(self, *, model: str, temperature: float, min_confidence: float) -> None:
        self.model = model
        self.temperature = temperature
        self.min_confidence = min_confidence
        self.committed = ""
        self.ghost = Ghost()
        self.tally = Tally()
        self.notice = ""  # one line for the toolbar, until the text changes
        self.latency_ms: float | None = None  # from the last request to its first reply
        self.connection: ConnectionState | None = None
        self.changed: Callable[[], None] = lambda: None  # called when there is something new to draw
        self._client: AsyncClient | None = None
        self._name = f"repl-{os.getpid()}-{os.urandom(6).hex()}"
        self._seed = int.from_bytes(os.urandom(4))
        self._request: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._force = False
        self._unanswered_since: float | None = None
        self._asked_again: str | None = None  # the text that found the daemon busy
        self._counted: tuple[int, bool] = (0, False)  # seq of the last ghost tallied, and whether taken

    # What the keys do

    def line_changed(self, before_cursor: str | None) -> None:
        """Takes note of the line up to the cursor; None where no ghost belongs."""
        text = None if before_cursor is None else self.committed + before_cursor
        self._become(self.ghost.moved(text))

    def commit(self, line: str) -> None:
        """Adds a line to the text. One that ends in a newline is whole already."""
        self.committed += line if line.endswith("\n") else line + "\n"

    def take(self, part: Callable[[str], str]) -> str:
        """The part of the ghost that a key accepts, to be inserted at the cursor."""
        piece = part(self.ghost.shown)
        source = self.ghost.source
        if piece and source is not None and self._counted == (source.seq, False):
            self._counted = (source.seq, True)
            self.tally.taken += 1
        return piece

    def dismiss(self) -> None:
        """Hides the ghost."""
        self._become(self.ghost.dismiss())

    def choose(self, *, model: str | None = None, temperature: float | None = None) -> None:
        """Changes the model or the temperature; what was known no longer counts."""
        if model is not None:
            self.model = model
        if temperature is not None:
            self.temperature = temperature
        self._become(self.ghost.forget())

    @property
    def waiting_s(self) -> float:
        """For how long the daemon has answered nothing, though it was asked."""
        if self._unanswered_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._unanswered_since

    # The daemon

    async def connect(self, endpoint: str | None) -> None:
        """Keeps a connection to the daemon until cancelled."""
        # In a thread, so that keys typed during the import are echoed at once.
        await asyncio.to_thread(_import_client)
        from charrepl import models
        from charrepl.async_client import AsyncClient

        # By name from here on, so that a model that finishes training does not take over this prompt.
        self.model = models.absolute(self.model) or ("" if endpoint else models.default().name)
        try:
            self._client = AsyncClient(endpoint=endpoint, on_state=self._connection_changed)
            try:
                await self._client.run()
            finally:
                await self._client.close()
        except CharreplError as error:
            self.tell(str(error))

    async def models(self) -> ModelList | None:
        """The models the daemon knows; None if it cannot be asked. Raises CharreplError as it says."""
        from charrepl import protocol

        if self._client is None:
            return None
        reply = await self._client.ask(protocol.Models(seq=0))
        return reply if isinstance(reply, protocol.ModelList) else None

    def close(self) -> None:
        """Ends the request under way."""
        for task in (self._request, *self._background):
            if task is not None:
                task.cancel()

    def tell(self, notice: str) -> None:
        """Puts one line in the toolbar until the text changes."""
        self.notice = notice
        self.changed()

    def _connection_changed(self, state: ConnectionState) -> None:
        was_ready = self.connection is not None and self.connection.phase == "ready"
        self.connection = state
        if state.phase == "ready" and not was_ready:
            # The text is the truth: asking for it again is all that coming back takes.
            self._force = True
            self._schedule()
            if not self.model:
                self._run(self._adopt_default_model())
        self.changed()

    async def _adopt_default_model(self) -> None:
        """Goes by name as well at an endpoint whose models are not those found here."""
        try:
            known = await self.models()
        except CharreplError:
            return  # then the default serves, whichever it is
        if known is not None and not self.model:
            self.model = known.default
            self.changed()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Requests

    def _schedule(self) -> None:
        """Looks at the end of this turn of the loop whether to ask: a paste is one request."""
        if not self._scheduled and self._client is not None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._ask_if_wanted)

    def _ask_if_wanted(self) -> None:
        self._scheduled = False
        if self.connection is None or self._client is None or self.ghost.text is None:
            return
        if not (self._force or self.ghost.wanted):
            return
        if self.connection.phase != "ready":
            self._client.wake()
            return
        self._force = False
        if self._request is not None:
            self._request.cancel()
        self.ghost = self.ghost.ask()
        follow = self._follow(self.ghost.text or "", self.ghost.seq)
        self._request = asyncio.get_running_loop().create_task(follow)

    async def _follow(self, full_text: str, seq: int) -> None:
        from charrepl import protocol

        assert self._client is not None
        loop = asyncio.get_running_loop()
        text, offset = windowed(full_text)
        request = protocol.Complete(
            seq=0,
            session=self._name,
            text=text,
            offset=offset,
            model=self.model,
            min_confidence=self.min_confidence,
            decoding=protocol.Decoding(temperature=self.temperature, seed=self._seed),
        )
        started = loop.time()
        if self._unanswered_since is None:
            self._unanswered_since = started
        late = loop.call_later(SLOW_S, self.changed)
        first = True
        try:
            async for reply in self._client.stream(request):
                if first:
                    first = False
                    self._unanswered_since = self._asked_again = None
                    self.latency_ms = (loop.time() - started) * 1000
                    late.cancel()
                if isinstance(reply, protocol.Ghost) and reply.alternative == 0:
                    self._become(
                        self.ghost.answered(seq, reply.text, tuple(reply.log_probs), final=reply.final)
                    )
        except DaemonUnavailableError:
            # The toolbar says so, and the text is asked for again once there is a daemon.
            self._unanswered_since = None
        except CharreplError as error:
            self._unanswered_since = None
            if error.code == "busy" and self._asked_again != full_text:
                self._asked_again = full_text
                self._run(self._ask_again(full_text))
            else:
                self.tell(str(error))
        except Exception as error:  # a defect must cost a ghost, not the text being written
            self.tell(f"no ghost: {reason(error)} (a defect in charrepl: please report it)")
        finally:
            late.cancel()
            self.ghost = self.ghost.failed(seq)  # of no effect after a final reply

    async def _ask_again(self, full_text: str) -> None:
        await asyncio.sleep(BUSY_S)
        if self.ghost.text == full_text and not self.ghost.waiting:
            self._force = True
            self._schedule()

    def _become(self, ghost: Ghost) -> None:
        before, self.ghost = self.ghost, ghost
        if ghost.shown and ghost.source is not None and self._counted[0] != ghost.source.seq:
            self._counted = (ghost.source.seq, False)
            self.tally.shown += 1
        if ghost.shown != before.shown:
            self.changed()
        self._schedule()


def _import_client() -> None:
    import charrepl.async_client  # noqa: F401  (for its effect on sys.modules)


def literal(line: str) -> str | None:
    """The text a line stands for, `//` being a slash; None if the line is a command."""
    if line.startswith("//"):
        return line[1:]
    return None if line.startswith("/") else line
