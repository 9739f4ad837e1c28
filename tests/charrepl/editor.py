"""An editor whose language server is ours: the real program, at the other end of pipes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from lsprotocol import types
from pytest_lsp import LanguageClient, make_test_lsp_client

from tests.waiting import DEADLINE_S

COMMAND = [sys.executable, "-m", "charrepl", "lsp"]
URI = "file:///novel/one.txt"


class Editor:
    """One document, edited and asked about. Positions are in the units agreed upon."""

    def __init__(self, client: LanguageClient, agreed: types.InitializeResult) -> None:
        self.client = client
        self.capabilities = agreed.capabilities
        self._version = 0

    def open(self, text: str, *, language: str = "plaintext", uri: str = URI) -> None:
        item = types.TextDocumentItem(uri, language, self._version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def edit(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        self._version += 1
        where = types.Range(types.Position(*start), types.Position(*end))
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self._version, URI),
                [types.TextDocumentContentChangePartial(where, text)],
            )
        )

    async def items(
        self,
        at: tuple[int, int],
        *,
        invoked: bool = False,
        selected: types.SelectedCompletionInfo | None = None,
        uri: str = URI,
        number: str | None = None,
    ) -> list[types.InlineCompletionItem]:
        kind = types.InlineCompletionTriggerKind
        context = types.InlineCompletionContext(kind.Invoked if invoked else kind.Automatic, selected)
        params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(uri), types.Position(*at))
        found = await self.client.protocol.send_request_async(
            types.TEXT_DOCUMENT_INLINE_COMPLETION, params, number
        )
        assert isinstance(found, types.InlineCompletionList)
        return list(found.items)

    async def ghost(self, at: tuple[int, int]) -> types.InlineCompletionItem:
        """The one that comes at last, as for somebody who types on while a daemon starts."""
        async with asyncio.timeout(DEADLINE_S):
            while not (found := await self.items(at)):
                pass
        assert len(found) == 1
        return found[0]

    async def run(self, item: types.InlineCompletionItem) -> None:
        """What a client does once it has put an item in."""
        assert item.command is not None
        await self.client.workspace_execute_command_async(
            types.ExecuteCommandParams(item.command.command, arguments=item.command.arguments)
        )

    @property
    def messages(self) -> list[str]:
        """What it was shown, after everything it has sent was dealt with."""
        return [message.message for message in self.client.messages]


@contextlib.asynccontextmanager
async def started(
    *arguments: str,
    encoding: str = "utf-16",
    options: Any = None,
    configuration: Any = None,
    name: str = "Neovim",
) -> AsyncIterator[Editor]:
    """An editor, ready. `configuration` is what it answers if asked for settings; None if it cannot be."""
    client = make_test_lsp_client()
    client.set_configuration({"charrepl": configuration})
    await client.start_io(*COMMAND, *arguments)
    asked = types.WorkspaceClientCapabilities(
        configuration=configuration is not None,
        did_change_configuration=types.DidChangeConfigurationClientCapabilities(dynamic_registration=True),
    )
    agreed = await client.initialize_session(
        types.InitializeParams(
            types.ClientCapabilities(
                workspace=asked,
                general=types.GeneralClientCapabilities(
                    position_encodings=[types.PositionEncodingKind(encoding)]
                ),
            ),
            client_info=types.ClientInfo(name),
            initialization_options=options,
        )
    )
    try:
        yield Editor(client, agreed)
        await client.shutdown_session()
    finally:
        if client._server is not None and client._server.returncode is None:
            client._server.kill()  # a test failed: its end is not awaited
        await client.stop()


def run(use: Callable[[Editor], Awaitable[None]], *arguments: str, **how: Any) -> None:
    """Has an editor used, within a minute."""

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S * 2), started(*arguments, **how) as editor:
            await use(editor)

    asyncio.run(main())


class Wire:
    """The same program, sent whatever bytes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def send(self, message: object) -> None:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def ask(self, method: str, params: object, *, number: int = 1) -> Any:
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return self.answer()

    def tell(self, method: str, params: object) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self) -> Any:
        """The next that it sends."""
        assert self.process.stdout is not None
        length = 0
        while (line := self.process.stdout.readline()) != b"\r\n":
            assert line
            name, _, value = line.partition(b":")
            length = int(value) if name == b"Content-Length" else length
        return json.loads(self.process.stdout.read(length))


@contextlib.contextmanager
def wire(*arguments: str, initialized: bool = True) -> Iterator[Wire]:
    opened = Wire(*arguments)
    with opened.process:
        try:
            if initialized:
                assert "result" in opened.ask("initialize", {"processId": None, "capabilities": {}})
                opened.tell("initialized", {})
            yield opened
        finally:
            opened.process.kill()
