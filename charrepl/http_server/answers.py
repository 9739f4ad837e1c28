"""The bodies of answers, each on one line and without a space: llama.vim reads them by their bytes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

# llama.vim keeps an answer for good, if the colon and the quote behind it are next to each other. This one is
# JSON as well, so that every client takes it for an answer, and none keeps what says nothing of the text.
NOT_NOW = b'{"content": ""}'


def content(texts: Sequence[str]) -> bytes:
    """For `/infill` and `/completion`: an object, or several in an array."""
    found = [{"content": text} for text in texts or [""]]
    return msgspec.json.encode(found[0] if len(found) == 1 else found)


def content_stream(text: str) -> bytes:
    """The same as server-sent events."""
    return _events([{"content": text, "stop": False}, {"content": "", "stop": True}])


def choices(texts: Sequence[str], *, model: str) -> bytes:
    """For `/v1/completions`: a choice each."""
    return msgspec.json.encode(
        {
            **_head(model),
            "choices": [_choice(text, index, "stop") for index, text in enumerate(texts)],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
    )


def choices_stream(texts: Sequence[str], *, model: str) -> bytes:
    """The same as server-sent events."""
    head = _head(model)
    parts = [{**head, "choices": [_choice(text, index, None)]} for index, text in enumerate(texts)]
    ends = [{**head, "choices": [_choice("", index, "stop")]} for index in range(len(texts))]
    return _events([*parts, *ends]) + b"data: [DONE]\n\n"


def models(names: Iterable[str]) -> bytes:
    """For `/v1/models`."""
    found = [{"id": name, "object": "model", "created": 0, "owned_by": "charrepl"} for name in names]
    return msgspec.json.encode({"object": "list", "data": found})


def health(*, off: str = "") -> bytes:
    """For `/health`; `off` says why there are no ghosts, if somebody wanted none."""
    return msgspec.json.encode({"status": "ok", **({"off": off} if off else {})})


def failed(message: str, *, kind: str, status: int) -> bytes:
    """For what cannot be answered, as both APIs put it."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "code": status}})


def _head(model: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{secrets.token_hex(8)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
    }


def _choice(text: str, index: int, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _events(values: Iterable[Any]) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(value) + b"\n\n" for value in values)
