"""The language server: what it answers, and what it tells the client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcInternalError, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from charrepl.errors import CharreplError
from charrepl.lsp import settings
from charrepl.lsp.documents import Units
from charrepl.lsp.offers import Offers
from charrepl.lsp.protocol import Protocol
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl.suggestions.request import SuggestionRequest, Suggestions
from charrepl.suggestions.suggester import Suggester
from charrepl.version import __version__
from charrepl.wire.context_window import windowed

TAKEN = "charrepl.taken"  # the command that an item has; its arguments are a number, and perhaps a count
SECTION = "charrepl"  # of an editor's settings
# How long to wait for a daemon that has to be started first.
ANSWER_S = 3.0
_INVOKED = 3  # alternatives, where the writer asks for them

# The host's name in `charrepl off --host`, by a part of the client's own name.
_HOSTS = (
    ("neovim", "neovim"),
    ("vim", "vim"),
    *((name, "vscode") for name in ("visual studio", "vscod", "code - oss", "cursor", "windsurf")),
    ("zed", "zed"),
    *((name, "emacs") for name in ("emacs", "eglot", "lsp-mode")),
    *((name, "jetbrains") for name in ("jetbrains", "intellij", "idea", "pycharm", "webstorm", "lsp4ij")),
)


def host_of(client: str) -> str:
    """The host, as in `suggestions.hosts`, of a client with such a name."""
    name = client.lower()
    return next((host for part, host in _HOSTS if part in name), "lsp")


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a ghost is wanted: what is replaced there, and what its replacement begins with."""

    range: types.Range
    typed: str  # in the place of `range`
    before: str
    after: str


class GhostServer(LanguageServer):
    """Answers one client. `usual` is in force where the client's settings say nothing."""

    protocol: Protocol

    def __init__(
        self,
        suggester: Suggester,
        counts: KeysSaved,
        *,
        usual: settings.Effective,
        temperature: float = 0.0,
        adapt: bool = True,
    ) -> None:
        super().__init__("charrepl", __version__, protocol_cls=Protocol)
        self.protocol.offers = Offers(counts)
        self.initial: Any = None  # the settings that came with `initialize`
        self._settings = settings.EditorSettings()
        self._suggester = suggester
        self._usual = usual
        self._temperature = temperature
        self._adapt = adapt
        self._told: set[str] = set()
        self.feature(types.INITIALIZE)(_initialize)
        self.feature(types.INITIALIZED)(_initialized)
        self.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(_did_change_configuration)
        self.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(
            _inline_completion
        )
        self.command(TAKEN)(_taken)

    def report_server_error(self, error: Exception, source: type[Exception]) -> None:
        """Shows nothing: no editor opens a window for what its own client has done wrong."""

    def tell(self, subject: str, message: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        """Shows the writer a message, once for each subject."""
        if subject not in self._told:
            self._told.add(subject)
            said = message if "charrepl" in message else f"charrepl: {message}"
            self.window_show_message(types.ShowMessageParams(kind, said))

    def use(self, said: Any) -> None:
        """Uses the settings that a client gives, or its first ones if it gives none."""
        try:
            self._settings = settings.parsed(said or self.initial)
        except CharreplError as error:
            self.tell(str(error), str(error))

    async def items(self, params: types.InlineCompletionParams) -> list[types.InlineCompletionItem]:
        """The ghosts for a place; none if none is worth showing.

        Raises CharreplError if there is no such place.
        """
        uri = params.text_document.uri
        cursor = self._cursor(params)
        path = self.protocol.document(uri).path
        chosen = settings.effective(
            self._settings,
            self._usual,
            language=self.protocol.document(uri).language,
            path=path,
            before=cursor.before,
        )
        if not chosen.enabled:
            return []
        text, offset = windowed(cursor.before)
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        found = await self._suggest(
            SuggestionRequest(
                document=uri,
                before=text,
                offset=offset,
                after=cursor.after,
                host=self.protocol.offers.host,
                path=path,
                model=chosen.model,
                assertiveness=chosen.assertiveness,
                lines=chosen.lines,
                alternatives=_INVOKED if invoked else 1,
                on_demand=invoked,
                temperature=self._temperature,
                adapt=self._adapt,
            )
        )
        line = cursor.before.rpartition("\n")[2]
        numbers = self.protocol.offers.made(uri, params.position.line, line, found.texts)
        return [
            types.InlineCompletionItem(
                insert_text=cursor.typed + ghost,
                range=cursor.range,
                command=types.Command(title="Count the ghost", command=TAKEN, arguments=[number]),
            )
            for ghost, number in zip(found.texts, numbers, strict=True)
        ]

    def _cursor(self, params: types.InlineCompletionParams) -> _Cursor:
        document, row = self.protocol.document(params.text_document.uri), params.position.line
        if row >= document.rows:
            raise CharreplError(f"line {row} is beyond the document, which has {document.rows}")
        place = self.protocol.place(document, params.position)
        selected = params.context.selected_completion_info
        if selected is not None and selected.range.start.line == selected.range.end.line == row:
            # The writer sees that text at the cursor already, in a list of completions.
            begin = document.before(self.protocol.place(document, selected.range.start))
            after = document.after(self.protocol.place(document, selected.range.end))
            return _Cursor(selected.range, selected.text, begin + selected.text, after)
        # From the beginning of the line: while it is typed, a client then shows the rest and asks nothing.
        typed = document.line(row)[: place.column]
        end = types.Position(row, self.protocol.units.count(typed))
        return _Cursor(
            types.Range(types.Position(row, 0), end), typed, document.before(place), document.after(place)
        )

    async def _suggest(self, request: SuggestionRequest) -> Suggestions:
        try:
            found = await self._suggester.suggest(request, timeout_s=ANSWER_S)
        except CharreplError as error:  # no such model, perhaps: the same with each key
            self.tell(str(error), str(error))
            return Suggestions()
        connection = self._suggester.link.connection
        if found.outcome == "off":
            why = self._suggester.why_off(request.host, request.path)
            self.tell(why, why or "ghosts were off", types.MessageType.Info)
        elif found.outcome == "unavailable" and connection is not None and connection.phase == "down":
            self.tell("daemon", f"no ghosts for now: {self._suggester.condition}")
        return found


def _initialize(ls: GhostServer, params: types.InitializeParams) -> None:
    client = params.client_info.name if params.client_info else ""
    ls.protocol.offers.host = host_of(client)
    ls.protocol.units = Units(types.PositionEncodingKind(ls.workspace.position_encoding).value)
    ls.initial = params.initialization_options
    ls.use(None)


async def _initialized(ls: GhostServer, params: types.InitializedParams) -> None:
    workspace = ls.client_capabilities.workspace
    changes = workspace.did_change_configuration if workspace else None
    if changes and changes.dynamic_registration:
        wanted = types.Registration(
            id=SECTION,
            method=types.WORKSPACE_DID_CHANGE_CONFIGURATION,
            register_options={"section": SECTION},
        )
        ls.client_register_capability(types.RegistrationParams([wanted]))
    await _ask_for_settings(ls)


async def _did_change_configuration(ls: GhostServer, params: types.DidChangeConfigurationParams) -> None:
    if not await _ask_for_settings(ls):
        pushed = params.settings
        ls.use(pushed.get(SECTION) if isinstance(pushed, dict) else None)


async def _ask_for_settings(ls: GhostServer) -> bool:
    """Uses the settings that a client has now. Returns false if it cannot be asked."""
    workspace = ls.client_capabilities.workspace
    if not workspace or not workspace.configuration:
        return False
    wanted = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
    try:
        said = await ls.workspace_configuration_async(wanted)
    except Exception:  # whatever goes wrong in the client, there are the settings it began with
        return True
    ls.use(said[0] if said else None)
    return True


async def _inline_completion(
    ls: GhostServer, params: types.InlineCompletionParams
) -> types.InlineCompletionList:
    try:
        return types.InlineCompletionList(await ls.items(params))
    except CharreplError as error:
        raise JsonRpcInvalidParams(str(error)) from None
    except asyncio.CancelledError:
        raise
    except Exception as error:  # its own words may have the text in them
        raise JsonRpcInternalError(
            f"a defect in charrepl, please report it: {type(error).__name__}"
        ) from None


_Taken = Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)]


def _taken(ls: GhostServer, *arguments: Any) -> None:
    try:
        numbers = msgspec.convert(arguments, _Taken)
    except msgspec.ValidationError:
        raise JsonRpcInvalidParams(
            f"{TAKEN} takes the number of a ghost, and optionally how many of its characters were taken"
        ) from None
    ls.protocol.offers.taken(*numbers)
