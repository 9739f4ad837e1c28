"""The server on standard input and output, from its first message to its last."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from contextlib import AsyncExitStack

from lsprotocol import types
from pygls.io_ import run_async

from charrepl.errors import CharreplError
from charrepl.lsp.server import GhostServer
from charrepl.lsp.settings import Effective
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl.suggestions.suggester import Suggester

_HEADER_BYTES = 64 << 10


class _Reader(asyncio.StreamReader):
    _in_headers = False

    async def readline(self) -> bytes:
        if not self._in_headers:
            # First, the answer to the message before begins: it is about the documents as they are now.
            await asyncio.sleep(0)
        line = await super().readline()
        self._in_headers = bool(line.strip())
        return line


async def serve(
    usual: Effective, *, temperature: float = 0.0, adapt: bool = True, endpoint: str | None = None
) -> None:
    """Answers the client at the other end until it has gone; SystemExit is its `exit`.

    Raises CharreplError if nobody can be there.
    """
    loop = asyncio.get_running_loop()
    for number in (0, 1):
        mode = os.fstat(number).st_mode
        if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
            raise CharreplError(
                "an editor starts charrepl lsp, and talks to it over pipes: charrepl lsp --setup neovim "
                "says what to put into its settings"
            )
    reader = _Reader(limit=_HEADER_BYTES)
    with os.fdopen(os.dup(0), "rb", 0) as source, os.fdopen(os.dup(1), "wb", 0) as target:
        os.dup2(2, 1)  # no other writes in between
        counts = KeysSaved()
        async with AsyncExitStack() as stack:
            # The transports leave the event loop before their files are closed.
            incoming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
            stack.callback(incoming.close)
            outgoing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, target)
            stack.callback(outgoing.close)
            suggester = await stack.enter_async_context(Suggester(endpoint=endpoint, name="lsp"))
            server = GhostServer(suggester, counts, usual=usual, temperature=temperature, adapt=adapt)
            server.protocol.set_writer(outgoing)
            await stack.enter_async_context(counts.kept_written())
            await _converse(server, reader)


async def _converse(server: GhostServer, reader: asyncio.StreamReader) -> None:
    def unreadable(error: Exception, kind: type[Exception]) -> None:
        server.protocol.refuse(None, "the message is not JSON-RPC", types.ErrorCodes.ParseError)

    try:
        await run_async(
            stop_event=threading.Event(), reader=reader, protocol=server.protocol, error_handler=unreadable
        )
    except asyncio.IncompleteReadError:
        return  # it has gone in the middle of a message
    except ValueError:
        raise CharreplError(
            "what came from the editor is not the language server protocol: check its settings"
        ) from None
