"""The protocol as pygls speaks it, with documents that we keep, and an answer to everything that is wrong.

pygls ends lines at other characters than the protocol does, and drops a message that it cannot read.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol, lsp_method

from charrepl.errors import CharreplError
from charrepl.lsp.documents import Document, Place, Units
from charrepl.lsp.offers import Offers

# What it logs has texts in it, and editors keep what we say in a file.
_log = logging.getLogger("pygls")
_log.addHandler(logging.NullHandler())
_log.propagate = False
_log.setLevel(logging.CRITICAL)


class Protocol(LanguageServerProtocol):
    """One client's conversation."""

    offers: Offers  # set by the server, before the first message

    def __init__(self, *arguments: Any) -> None:
        self.units = Units()
        self.documents: dict[str, Document] = {}  # by URI
        self._initialized = False
        super().__init__(*arguments)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """What a JSON object is in the protocol; a `_Wrong` if it has no such message."""
        method, number = data.get("method"), data.get("id")
        number = number if isinstance(number, int | str) else None
        if number is not None and isinstance(method, str) and _has_lone_surrogates(data):
            return _Wrong(number, f"{method!a} has a lone surrogate, half of a character: send whole ones")
        try:
            return super().structure_message(data)
        except JsonRpcException:
            if not isinstance(method, str):
                raise
            return _Wrong(number, f"{method!a} does not follow the protocol")

    def handle_message(self, message: Any) -> None:
        """Handles a message, or answers why not."""
        method, number = getattr(message, "method", None), getattr(message, "id", None)
        why, code = "", types.ErrorCodes.InvalidRequest
        if isinstance(message, _Wrong):
            why, code = message.why, types.ErrorCodes.InvalidParams
        elif method == types.INITIALIZE and self._initialized:
            why = "initialize was sent before: a server is initialized once"
        elif method not in (None, types.INITIALIZE, types.EXIT) and not self._initialized:
            why, code = "initialize has to come first", types.ErrorCodes.ServerNotInitialized
        elif method not in (None, types.EXIT) and self._shutdown:
            why = "the server was shut down: send exit"
        if not why:
            self._initialized = self._initialized or method == types.INITIALIZE
            super().handle_message(message)
        elif number is not None:  # a notification has no answer
            self.refuse(number, why, code)

    def refuse(self, number: int | str | None, why: str, code: types.ErrorCodes) -> None:
        """Answers a request with an error."""
        self._send_response(number, error=types.ResponseError(code=code, message=why))

    def document(self, uri: str) -> Document:
        """An open document. Raises CharreplError if it is not open."""
        document = self.documents.get(uri)
        if document is None:
            raise CharreplError(f"{uri} is not open: send textDocument/didOpen first")
        return document

    def place(self, document: Document, position: types.Position) -> Place:
        """Where a position is in a document."""
        return document.place(position.line, position.character, self.units)

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        """Keeps a document from here on."""
        item = params.text_document
        path = uris.to_fs_path(item.uri) if uris.uri_scheme(item.uri) == "file" else None
        self.documents[item.uri] = Document(
            item.text, language=item.language_id, path=Path(path) if path else None
        )

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Changes a document as the client has changed its own."""
        uri = params.text_document.uri
        document = self.document(uri)
        for change in params.content_changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start, end = change.range.start, change.range.end
                document.replace(self.place(document, start), self.place(document, end), change.text)
            else:
                document.replace(Place(0, 0), document.end, change.text)
        self.offers.follow(uri, document)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Drops a document."""
        self.documents.pop(params.text_document.uri, None)
        self.offers.forget(params.text_document.uri)


class _Wrong:
    """A request, or by its number None a notification, that is not handled, and why not."""

    def __init__(self, number: int | str | None, why: str) -> None:
        self.id = number
        self.why = why


def _has_lone_surrogates(data: dict[str, Any]) -> bool:
    """Whether a text in it has half of a character, which JSON can hold and no text has."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
