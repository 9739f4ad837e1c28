"""One prompt's conversation with the daemon. The connection comes back by itself.

Imports the client, and with it zmq and msgspec, only after the first paint.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.wire.context_window import window_start

if TYPE_CHECKING:  # they take 22 ms to import
    from charrepl.client.async_client import AsyncClient, ConnectionState
    from charrepl.wire.protocol import Ghost, ModelList, Reply, Scores, Stop


class DaemonLink:
    """Asks the daemon about a text. `changed` is called when the connection is another, or the model.

    A text is told as its tail and the `base` at which that starts: no window may begin before it. `host` is
    where it is typed. With `pins_default`, a default model stays the one that it was in the beginning.
    """

    def __init__(self, *, model: str, host: str = "repl", pins_default: bool = True) -> None:
        self.model = model
        self._pins_default = pins_default
        self.connection: ConnectionState | None = None
        self.changed: Callable[[], None] = lambda: None
        self.regained: Callable[[], None] = lambda: None  # there is a daemon that has heard nothing yet
        self.noticed: Callable[[str], None] = lambda notice: None  # something to tell, of the model
        self._default = ""  # its name, where it was not chosen
        self.session = f"{host}-{os.getpid()}-{os.urandom(6).hex()}"
        self._client: AsyncClient | None = None
        self._naming: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a daemon to ask."""
        return self.connection is not None and self.connection.phase == "ready"

    @property
    def prepared(self) -> bool:
        """Whether the daemon that there is answers at once."""
        return self.ready and self.connection is not None and not self.connection.detail

    async def keep(self, endpoint: str | None) -> None:
        """Keeps a connection until cancelled. Raises CharreplError if there can be none."""
        # In a thread, so that keys typed during the import are echoed at once.
        await asyncio.to_thread(_import_client)
        from charrepl.client.async_client import AsyncClient
        from charrepl.settings import model_names

        # By name from here on, so that a model that finishes training does not take over this prompt.
        self.model = model_names.absolute(self.model)
        if not self.model and not endpoint and self._pins_default:
            from charrepl.settings import last_opened_model

            self.model = self._default = model_names.default().name
            self._announce(last_opened_model.announcement(self.model))
        self._client = AsyncClient(endpoint=endpoint, on_state=self._connection_changed)
        try:
            await self._client.run()
        finally:
            if self._naming is not None:
                self._naming.cancel()
            await self._client.close()

    @property
    def preparing(self) -> bool:
        """Whether there will be a daemon in a moment."""
        return self.connection is None or self.connection.phase in ("connecting", "starting")

    @property
    def condition(self) -> str:
        """How things are with the daemon, in a few words: the device it has, or what is amiss."""
        state = self.connection
        if state is None or state.phase == "connecting":
            return "connecting"
        if state.phase == "ready":
            return state.detail or state.device
        return state.detail or ("starting the daemon" if state.phase == "starting" else "no daemon")

    def wake(self) -> None:
        """Brings the connection back, if it waits for somebody to want it."""
        if self._client is not None:
            self._client.wake()

    async def models(self) -> ModelList:
        """The models the daemon knows. Raises CharreplError as it says, or if it cannot be asked."""
        from charrepl.wire import protocol

        reply = await self._connected().ask(protocol.Models(seq=0))
        assert isinstance(reply, protocol.ModelList)
        return reply

    async def complete(
        self,
        tail: str,
        base: int,
        *,
        max_chars: int = 48,
        stop: Stop = "line",
        alternatives: int = 1,
        min_confidence: float = 0.0,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        adapt: bool = False,
        part: str = "",
        model: str = "",
    ) -> AsyncIterator[Reply]:
        """The replies to a `complete` of the text. Raises CharreplError as the daemon says.

        A newer one supersedes it; those of another `part` do not. `model` is asked in place of the usual one,
        if it is not empty. Ghosts are no longer than asked for,
        and have a log-probability, never above 0, for each character or none at all.
        """
        from msgspec.structs import replace

        from charrepl.wire import protocol

        start = window_start(base + len(tail))
        request = protocol.Complete(
            seq=0,
            session=self.session + part,
            text=tail[start - base :],
            offset=start,
            max_chars=max_chars,
            stop=stop,
            alternatives=alternatives,
            min_confidence=min_confidence,
            decoding=protocol.Decoding(temperature=temperature, top_p=top_p, seed=seed, adapt=adapt),
        )
        while True:
            try:
                async for reply in self._connected().stream(replace(request, model=model or self.model)):
                    if not isinstance(reply, protocol.Ghost):
                        yield reply
                    elif reply.session == request.session and reply.alternative < alternatives:
                        yield _within(reply, max_chars)
            except CharreplError as error:
                if model or not await self._falls_back(error):
                    raise
            else:
                return

    async def score(self, text: str, carry: bytes, digest: str) -> Scores:
        """The log-probabilities of a piece of text after a carry. Raises CharreplError as the daemon says."""
        from charrepl.wire import protocol

        request = protocol.Score(seq=0, text=text, model=self.model, carry=carry, digest=digest)
        reply = await self._connected().ask(request)
        assert isinstance(reply, protocol.Scores)
        return reply

    def _connected(self) -> AsyncClient:
        if self._client is None:
            raise DaemonUnavailableError("there is no daemon to ask yet: try again in a moment")
        return self._client

    async def _falls_back(self, error: CharreplError) -> bool:
        """Whether it is another model now: nobody chose the one there was, and it cannot be loaded."""
        from charrepl.settings import model_names

        if error.code not in model_names.UNLOADABLE or not self.model or self.model != self._default:
            return False
        known = await self.models()
        if known.default == self.model:
            return False
        self.model = self._default = known.default
        self._announce(known.notice)
        self.changed()
        return True

    def _announce(self, notice: str) -> None:
        if notice:
            self.noticed(notice)

    def _connection_changed(self, state: ConnectionState) -> None:
        was_ready = self.ready
        self.connection = state
        if self.ready and not was_ready:
            self.regained()
            if not self.model and self._pins_default:
                self._naming = asyncio.get_running_loop().create_task(self._name_model())
        self.changed()

    async def _name_model(self) -> None:
        """Goes by name as well at an endpoint whose models are not those found here."""
        try:
            known = await self.models()
        except CharreplError:
            return  # then the default serves, whichever it is
        if not self.model:
            self.model = known.default
            self.changed()


def _within(ghost: Ghost, max_chars: int) -> Ghost:
    """What of a ghost can be relied on: a daemon may be anybody's."""
    from msgspec.structs import replace

    count = len(ghost.log_probs) if len(ghost.log_probs) == len(ghost.text) else 0
    log_probs = [min(nats, 0.0) for nats in ghost.log_probs[: min(count, max_chars)]]
    return replace(ghost, text=ghost.text[:max_chars], log_probs=log_probs)


def _import_client() -> None:
    import charrepl.client.async_client  # noqa: F401  (for its effect on sys.modules)

    # What is imported stays: to go through it all again takes the collector longer than a key may.
    gc.freeze()
