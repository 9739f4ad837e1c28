"""The bodies of requests, as clients of llama.cpp and OpenAI send them. Other fields are ignored."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from charrepl.errors import CharreplError

# A prompt of 10 MB may take twice that in JSON.
MOST_BYTES = 32 << 20
_MOST_PROMPTS = 8

# The escape of one half of a character without the other.
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL
)

Count = Annotated[int, Meta(ge=1, le=128)]
Temperature = Annotated[float, Meta(ge=0, le=10)]
TopP = Annotated[float, Meta(ge=0, le=1)]


class Sampling(msgspec.Struct, kw_only=True):
    """What all of them may say. None is the same as nothing said."""

    model: str | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None

    @property
    def stops(self) -> list[str]:
        """The texts at which a ghost ends."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]


class Completion(Sampling, kw_only=True):
    """Of llama.cpp's `/completion`."""

    prompt: str
    n_predict: int | None = None  # below 0 for no bound
    n_cmpl: Count | None = None
    t_max_predict_ms: float | None = None


class Infill(Completion, kw_only=True):
    """Of llama.cpp's `/infill`."""

    prompt: str = ""
    input_prefix: str = ""
    input_suffix: str = ""


class OpenAICompletion(Sampling, kw_only=True):
    """Of OpenAI's `/v1/completions`."""

    prompt: str | Annotated[list[str], Meta(min_length=1, max_length=_MOST_PROMPTS)]
    suffix: str | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Count | None = None


B = TypeVar("B", bound=Sampling)


def decoded(body: bytes | bytearray, kind: type[B]) -> B:
    """The request in a body. Raises CharreplError if it is not one."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = str(error)
        if isinstance(error, RecursionError):
            what = "nested too deeply"
        elif isinstance(error, UnicodeDecodeError):
            what = f"its text is not UTF-8: {error.reason}"
        elif _LONE_SURROGATE.search(body):
            what = "its text has a lone surrogate, half of a character: send whole ones"
        raise CharreplError(f"the body is not a request of this kind: {what}", code="bad_request") from None
