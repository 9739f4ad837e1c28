"""What each path answers."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from charrepl.errors import CharreplError
from charrepl.http_server import answers, bodies, fim_markers
from charrepl.http_server.access import Access, Refusal
from charrepl.http_server.documents import Documents
from charrepl.http_server.truncated_texts import anchored
from charrepl.settings import model_names
from charrepl.suggestions.request import MOST_ALTERNATIVES, SuggestionRequest, Suggestions
from charrepl.suggestions.suggester import Suggester
from charrepl.suggestions.taken_ghosts import TakenGhosts
from charrepl.wire.protocol import ModelList

# For the whole body, and for the answer: a plugin shows an error to its user where it waits in vain.
BODY_S = 10.0
ANSWER_S = 1.0
_WHOLE_LINES = 256  # of which llama.vim and llama.vscode send the last ones, so that with fewer it is all
_AFTER_CHARS = 2048  # of what follows the cursor
_SPECULATIVE_MS = 1000  # as llama.vim bounds a request for what would follow a ghost that is shown
_DEFAULT_NAMES = ("", "charrepl", "default")  # which clients that must name a model send
_STATUS = {"no_model": 404, "bad_name": 404, "bad_request": 400, "too_large": 413, "timeout": 408}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a request says nothing, and how ghosts are decided upon, which no request says."""

    model: str = ""
    assertiveness: str = "normal"
    lines: int = 1
    temperature: float = 0.0
    seed: int = 0
    adapt: bool = True


class Endpoints:
    """The application, in terms of ASGI: `app`."""

    def __init__(
        self, suggester: Suggester, taken: TakenGhosts, *, access: Access, defaults: Defaults
    ) -> None:
        self._suggester = suggester
        self._taken = taken
        self._defaults = defaults
        self._documents = Documents()
        routes = {
            "/infill": self._infill,
            "/completion": self._completion,
            "/completions": self._completion,
            "/v1/completions": self._openai,
        }
        app = Starlette(
            routes=[
                *(Route(path, _answered(answer), methods=["POST"]) for path, answer in routes.items()),
                *(Route(path, self._health, methods=["GET"]) for path in ("/health", "/v1/health")),
                Route("/v1/models", _answered(self._models), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _no_such_path},
        )
        self.app = _guarded(app, access)

    async def _infill(self, request: Request) -> Response:
        asked = bodies.decoded(await _body(request), bodies.Infill)
        before, after = asked.input_prefix + asked.prompt, asked.input_suffix
        if asked.input_prefix.count("\n") >= _WHOLE_LINES:
            before = anchored(before)
        # An editor's first line has an empty one above it.
        return await self._llama(request, asked, before.removeprefix("\n"), after)

    async def _completion(self, request: Request) -> Response:
        asked = bodies.decoded(await _body(request), bodies.Completion)
        before, after = fim_markers.unwrapped(asked.prompt)
        return await self._llama(request, asked, anchored(before), after)

    async def _llama(self, request: Request, asked: bodies.Completion, before: str, after: str) -> Response:
        if asked.n_predict == 0:  # it would warm a cache
            return _json(answers.content([]))
        most = asked.n_predict if asked.n_predict and asked.n_predict > 0 else 0
        speculative = asked.t_max_predict_ms == _SPECULATIVE_MS
        wanted = self._request(asked, before, after, most=most, alternatives=asked.n_cmpl or 1)
        found = await self._suggest(request, wanted, counted=not speculative)
        texts = _stopped(found.texts, asked.stops)
        if asked.stream:
            return _events(answers.content_stream(texts[0] if texts else ""))
        return _json(answers.content(texts) if found.outcome == "answered" else answers.NOT_NOW)

    async def _openai(self, request: Request) -> Response:
        asked = bodies.decoded(await _body(request), bodies.OpenAICompletion)
        texts: list[str] = []
        if asked.max_tokens != 0:
            for prompt in [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt:
                before, after = fim_markers.unwrapped(prompt, asked.suffix or "")
                most = asked.max_tokens or 0
                wanted = self._request(asked, anchored(before), after, most=most, alternatives=asked.n or 1)
                found = await self._suggest(request, wanted, counted=True)
                texts += _stopped(found.texts, asked.stops) or [""]
        model = asked.model or "charrepl"
        if asked.stream:
            return _events(answers.choices_stream(texts or [""], model=model))
        return _json(answers.choices(texts or [""], model=model))

    async def _models(self, request: Request) -> Response:
        known = await self._known_models()
        if known is None:
            return _json(answers.models(path.name for path in model_names.installed()))
        return _json(answers.models(model.name for model in known.models))

    async def _known_models(self) -> ModelList | None:
        """What the daemon knows, None if it does not say so in time."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._suggester.link.models()
        except (CharreplError, TimeoutError):
            return None

    async def _health(self, request: Request) -> Response:
        if off := self._suggester.why_off():
            return _json(answers.health(off=off))
        if not self._suggester.prepared:
            self._suggester.link.wake()
            return _failure(503, "unavailable_error", self._suggester.condition)
        if await self._known_models() is None:
            return _failure(
                503, "unavailable_error", "the daemon does not answer: run charrepl-daemon restart"
            )
        return _json(answers.health())

    def _request(
        self, asked: bodies.Sampling, before: str, after: str, *, most: int, alternatives: int
    ) -> SuggestionRequest:
        default = self._defaults
        model = default.model if asked.model is None or asked.model in _DEFAULT_NAMES else asked.model
        if model != default.model:
            model_names.check_name(model)  # a directory is named on the command line alone
        return SuggestionRequest(
            document="",
            before=before,
            after=after[:_AFTER_CHARS],
            model=model,
            assertiveness=default.assertiveness,
            lines=default.lines,
            alternatives=min(alternatives, MOST_ALTERNATIVES),
            max_chars=most,
            temperature=default.temperature if asked.temperature is None else asked.temperature,
            top_p=asked.top_p or 1.0,
            seed=default.seed if asked.seed is None or asked.seed < 0 else asked.seed % 2**32,
            adapt=default.adapt,
        )

    async def _suggest(self, request: Request, wanted: SuggestionRequest, *, counted: bool) -> Suggestions:
        host = request.scope["state"]["host"]
        with self._documents.entered(wanted.before) as number:
            wanted = replace(wanted, document=f"{host}-{number}", host=host)
            found = await _unless_gone(self._suggester.suggest(wanted, timeout_s=ANSWER_S), request.receive)
        if counted:
            self._taken.text(host, wanted.before)
            if found.texts:
                self._taken.shown(host, wanted.before, found.texts[0])
        return found


def _stopped(texts: tuple[str, ...], stops: list[str]) -> list[str]:
    """The texts up to where the first of `stops` begins; empty ones are left out."""
    cut = [min([text.find(stop) for stop in stops if stop in text], default=len(text)) for text in texts]
    return list(dict.fromkeys(text[:end] for text, end in zip(texts, cut, strict=True) if end))


async def _unless_gone(work: Awaitable[T], receive: Receive) -> T:
    """The result of some work. If the client goes away, it is given up, and ClientDisconnect is raised."""
    here, left = asyncio.current_task(), False

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        assert here is not None
        here.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if left:
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()


async def _body(request: Request) -> bytearray:
    """A whole body. Raises CharreplError if it is too long, or does not come in time."""
    said = request.headers.get("content-length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            if said.isdecimal() and int(said) > bodies.MOST_BYTES:
                raise _too_long()
            async for piece in request.stream():
                body += piece
                if len(body) > bodies.MOST_BYTES:
                    raise _too_long()
    except TimeoutError:
        raise CharreplError(f"the body was not there within {BODY_S:.0f} s", code="timeout") from None
    return body


def _too_long() -> CharreplError:
    most = bodies.MOST_BYTES >> 20
    return CharreplError(
        f"the body is longer than {most} MB: send the text near the cursor", code="too_large"
    )


def _answered(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """`endpoint`, with what is wrong with a request as its answer."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except CharreplError as error:
            kind = "invalid_request_error" if error.code in _STATUS else "server_error"
            return _failure(_STATUS.get(error.code, 500), kind, str(error))
        except ClientDisconnect:
            return Response()  # which nobody reads
        except Exception as error:  # its own words may have the text in them
            return _failure(
                500, "server_error", f"a defect in charrepl, please report it: {type(error).__name__}"
            )

    return answer


def _guarded(app: ASGIApp, access: Access) -> ASGIApp:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        found = access.admitted(scope["path"], scope["headers"])
        if isinstance(found, Refusal):
            await _failure(found.status, found.kind, found.message)(scope, receive, send)
            return
        scope["state"] = {"host": found}
        await app(scope, receive, send)

    return guarded


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path} is not answered"
    there = "POST /infill, /completion and /v1/completions are, and GET /v1/models and /health"
    return _failure(status, "not_found_error", f"{what}: {there}")


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _events(body: bytes) -> Response:
    return Response(body, media_type="text/event-stream", headers={"cache-control": "no-store"})


def _failure(status: int, kind: str, message: str) -> Response:
    """A refusal, after which the connection ends, because the rest of a body may never come."""
    body = answers.failed(message, kind=kind, status=status)
    headers = {"connection": "close"}
    return Response(body, status_code=status, media_type="application/json", headers=headers)
