"""One prompt's conversation with the daemon. It reconnects by itself.

It imports the client, and with it zmq and msgspec, only after the first paint.
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
    """Asks the daemon about a text. `changed` is called when the connection or the model changes.

    A text is given by its tail and by `base`, where the tail starts. No window may begin before `base`.
    `host` is where the text is typed. With `pins_default`, the model that was the default at first is kept.
    `own_process` says whether the process is one of ours, so that nobody else's garbage is in it.
    """

    def __init__(
        self, *, model: str, host: str = "repl", pins_default: bool = True, own_process: bool = True
    ) -> None:
        self.model = model
        self._own_process = own_process
        self._pins_default = pins_default
        self.connection: ConnectionState | None = None
        self.changed: Callable[[], None] = lambda: None
        self.regained: Callable[[], None] = lambda: None  # called for a new connection to a daemon
        self.noticed: Callable[[str], None] = lambda notice: None  # called with a notice about the model
        self._default = ""  # the model's name, if nobody chose it
        self.session = f"{host}-{os.getpid()}-{os.urandom(6).hex()}"
        self._client: AsyncClient | None = None
        self._naming: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a daemon to ask."""
        return self.connection is not None and self.connection.phase == "ready"

    @property
    def prepared(self) -> bool:
        """Whether there is a daemon that can answer immediately."""
        return self.ready and self.connection is not None and not self.connection.detail

    async def keep(self, endpoint: str | None) -> None:
        """Keeps a connection until cancelled. Raises CharreplError if no connection is possible."""
        # In a thread, so that keys typed during the import are echoed immediately.
        await asyncio.to_thread(_import_client)
        if self._own_process:
            # Imported modules stay. If the garbage collector went through them, a key would wait too long.
            gc.freeze()
        from charrepl.client.async_client import AsyncClient
        from charrepl.settings import model_names

        # By name from now on, so that a model that finishes training does not replace this prompt's model.
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
        """Whether a daemon is expected in a moment."""
        return self.connection is None or self.connection.phase in ("connecting", "starting")

    @property
    def condition(self) -> str:
        """The daemon's state in a few words: its device, or what is wrong."""
        state = self.connection
        if state is None or state.phase == "connecting":
            return "connecting"
        if state.phase == "ready":
            return state.detail or state.device
        return state.detail or ("starting the daemon" if state.phase == "starting" else "no daemon")

    def wake(self) -> None:
        """Reconnects, if the connection waits until it is needed."""
        if self._client is not None:
            self._client.wake()

    async def models(self) -> ModelList:
        """The models that the daemon knows. Raises CharreplError if it refuses or cannot be asked."""
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
        """The replies to a `complete` request for the text. Raises CharreplError if the daemon refuses.

        A newer request supersedes it, unless that has another `part`. If `model` is not empty, it is asked
        instead of the usual model. Ghosts are no longer than asked for. They have a log-probability, never
        above 0, for each character, or none at all.
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
        """The log-probabilities of a text after a carry. Raises CharreplError if the daemon refuses."""
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
        """Changes to another model, if nobody chose this one and it cannot be loaded. Whether it did."""
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
        """Chooses the default model by name at an endpoint whose models are not those found here."""
        try:
            known = await self.models()
        except CharreplError:
            return  # then each request uses the default of its time
        if not self.model:
            self.model = known.default
            self.changed()


def _within(ghost: Ghost, max_chars: int) -> Ghost:
    """The part of a ghost that we can rely on: the daemon may belong to anyone."""
    from msgspec.structs import replace

    count = len(ghost.log_probs) if len(ghost.log_probs) == len(ghost.text) else 0
    log_probs = [min(nats, 0.0) for nats in ghost.log_probs[: min(count, max_chars)]]
    return replace(ghost, text=ghost.text[:max_chars], log_probs=log_probs)


def _import_client() -> None:
    import charrepl.client.async_client  # noqa: F401  (for its effect on sys.modules)
