"""The wire: one JSON frame per message over ZeroMQ, from the client's DEALER to the daemon's ROUTER.

A message is an object with a `type`, the fields below, and no others. The client chooses `seq`, and every
reply repeats it. Every request gets exactly one final reply: `ghost` or `chunk` with `final` true,
`superseded`, `error`, or the single reply named beside the request. Only `cancel` has no reply of its own.
`hello`, `status`, `shutdown` and `error` keep their form in all protocol versions.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from charrepl.errors import CharreplError
from charrepl.wire.context_window import MAX_WIRE_CHARS, STRIDE

PROTOCOL = 2
MAX_FRAME_BYTES = 1 << 20

Seq = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(max_length=1024)]
Place = Annotated[str, Meta(max_length=4096)]
Session = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=MAX_WIRE_CHARS)]
Offset = Annotated[int, Meta(ge=0, le=2**40, multiple_of=STRIDE)]
Stop = Literal["none", "line", "sentence"]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The field that every message has."""

    seq: Seq


class Decoding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the next character is chosen. The default is greedy.

    With `beam`, the whole ghost is chosen: the likeliest that so many beams find. It comes in one piece. The
    other fields then have no effect. This is only for `complete` with one alternative.
    """

    temperature: Annotated[float, Meta(ge=0, le=10)] = 0.0  # 0 is greedy
    top_k: Annotated[int, Meta(ge=0, le=65_536)] = 0  # 0 keeps every character
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    beam: Annotated[int, Meta(ge=0, le=8)] = 0  # 0 chooses one character at a time
    adapt: bool = False  # mix in what followed earlier in the window's own text; only `complete` does this


# Requests


class OfModels(Message, frozen=True, kw_only=True):
    """The field of every request that depends on the available models."""

    data_dir: Place = ""  # the data directory to use; empty for the daemon's own, as guests must leave it


class Hello(Message, tag="hello", frozen=True, kw_only=True):
    """Begins a conversation. Answered by `welcome`, or `error` with code `protocol`."""

    protocol: int
    version: Name = ""


class Complete(OfModels, tag="complete", frozen=True, kw_only=True):
    """Asks for the ghost after `text`. A newer request of the same session supersedes it."""

    session: Session
    text: Text  # all the text before the cursor, from `offset` on
    offset: Offset = 0  # where `text` starts; at most the window's start
    model: Place = ""  # a name; a directory only on the owner's socket; empty for the default
    max_chars: Annotated[int, Meta(ge=1, le=4096)] = 48
    stop: Stop = "line"
    alternatives: Annotated[int, Meta(ge=1, le=8)] = 1
    min_confidence: Annotated[float, Meta(ge=0, le=1)] = 0.0  # joint probability that cuts the ghost
    decoding: Decoding = Decoding()


class Sample(OfModels, tag="sample", frozen=True, kw_only=True):
    """Asks for a passage after `text`. It comes in `chunk`s and is never superseded."""

    text: Text = ""
    offset: Offset = 0
    model: Place = ""
    max_chars: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    stop: Stop = "none"
    decoding: Decoding = Decoding(temperature=0.8)


class Score(OfModels, tag="score", frozen=True, kw_only=True):
    """Asks for the log-probability of every character of `text`. Answered by `scores`.

    A longer text is sent in pieces. Each piece but the first repeats the `carry` and `digest` of the `scores`
    before it, so that the daemon stores nothing in between. With `adapt`, each character's probability is
    the one that an adapting ghost would give it, from the window before it.
    """

    text: Text
    model: Place = ""
    carry: Annotated[bytes, Meta(max_length=1 << 19)] = b""
    digest: Name = ""
    adapt: bool = False
    before: Text = ""  # with `adapt`: the text before, from `offset` on
    offset: Offset = 0  # where `before` starts; at most the start of the window at its end


class Cancel(Message, tag="cancel", frozen=True, kw_only=True):
    """Cancels the `complete`, `sample` or `score` with the same `seq`.

    That request ends with `error`, code `cancelled`. Nothing comes if it had its final reply already.
    """


class Status(Message, tag="status", frozen=True, kw_only=True):
    """Asks for the daemon's state. Answered by `report`."""


class Models(OfModels, tag="models", frozen=True, kw_only=True):
    """Asks which models there are. Answered by `model_list`."""


class Reload(OfModels, tag="reload", frozen=True, kw_only=True):
    """Asks to load `model` from disk again. Answered by `done`."""

    model: Place = ""


class Shutdown(Message, tag="shutdown", frozen=True, kw_only=True):
    """Asks the daemon to finish its work and exit. Answered by `done`."""


# Replies


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model, as a list shows it to a person."""

    name: str
    path: str
    layers: int
    hidden_size: int
    characters: int  # distinct characters it can write
    held_out_loss: float | None  # nats per character
    loaded: bool = False


class Welcome(Message, tag="welcome", frozen=True, kw_only=True):
    """The daemon introduces itself. Clients of this protocol version require all fields, used or not."""

    protocol: int
    version: str
    pid: int
    models: list[str]  # names of the loaded models
    device: str
    ready: bool  # whether the default model is compiled


class Ghost(Message, tag="ghost", frozen=True, kw_only=True):
    """A ghost so far. Each with the same `seq` and `alternative` extends the one before."""

    session: str
    text: str
    log_probs: list[float]  # nats, one for each character of `text`
    final: bool
    alternative: int = 0


class Superseded(Message, tag="superseded", frozen=True, kw_only=True):
    """The final reply to a `complete` that a newer one replaced."""

    session: str


class Chunk(Message, tag="chunk", frozen=True, kw_only=True):
    """The next piece of a passage."""

    text: str
    final: bool


class Scores(Message, tag="scores", frozen=True, kw_only=True):
    """Log-probabilities in nats, one per character, and what the next piece needs to continue.

    If the model reads several characters as one letter, the first has the letter's log-probability, and the
    others have 0.
    """

    log_probs: list[float]
    carry: bytes
    digest: str


class Report(Message, tag="report", frozen=True, kw_only=True):
    """What `status` shows; new fields may be added, none removed."""

    status: dict[str, Any]


class ModelList(Message, tag="model_list", frozen=True, kw_only=True):
    """Every model that the daemon can find, and the name of the default."""

    models: list[ModelInfo]
    default: str
    notice: str = ""  # if the model trained last cannot be loaded: why another is the default


class Done(Message, tag="done", frozen=True, kw_only=True):
    """The request was carried out."""


class Error(Message, tag="error", frozen=True, kw_only=True):
    """The request failed. `message` is one line that says what to do."""

    code: str
    message: str


Request = Hello | Complete | Sample | Score | Cancel | Status | Models | Reload | Shutdown
Reply = Welcome | Ghost | Superseded | Chunk | Scores | Report | ModelList | Done | Error


def is_work(request: Request) -> bool:
    """Whether `cancel` can cancel a request."""
    return isinstance(request, Complete | Sample | Score)


def is_final(reply: Reply) -> bool:
    """Whether a reply is the last one to its request."""
    return reply.final if isinstance(reply, Ghost | Chunk) else True


_encoder = msgspec.json.Encoder()
_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_reply_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def encode(message: Message) -> bytes:
    """One frame. Lone surrogates, which JSON's UTF-8 cannot carry, become U+FFFD."""
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        return _encoder.encode(_clean(message))


def _clean(message: Message) -> Message:
    values = {name: getattr(message, name) for name in message.__struct_fields__}
    texts = {name: replace_surrogates(value) for name, value in values.items() if isinstance(value, str)}
    return msgspec.structs.replace(message, **texts)


def replace_surrogates(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, so that lengths and positions stay."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def decode_request(frame: bytes) -> Request:
    """The request in a frame.

    Raises CharreplError, with a code of `too_large` or `bad_request`, if the frame is not one.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise CharreplError(
            f"frame of {len(frame)} bytes: at most {MAX_FRAME_BYTES} are read; send the text's window only",
            code="too_large",
        )
    try:
        return _request_decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CharreplError(f"not a charrepl request: {what}", code="bad_request") from None


def decode_reply(frame: bytes) -> Reply:
    """The reply in a frame. Raises CharreplError if this version does not know such a reply."""
    try:
        return _reply_decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CharreplError(
            f"the daemon sent something this version cannot read ({error}): "
            "run charrepl-daemon restart after upgrading charrepl",
            code="bad_reply",
        ) from None


class _AnySeq(msgspec.Struct):
    seq: Seq = 0


def seq_of(frame: bytes) -> int:
    """The `seq` of a frame that could not be read as a request, or 0."""
    try:
        return msgspec.json.decode(frame, type=_AnySeq).seq
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return 0
