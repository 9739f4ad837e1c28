"""Chats that Telegram or Discord's exporter wrote as JSON, as who says what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from charrepl_train.cleaning import lines

HEAD = 20_000  # characters, in which the messages begin


def may_begin(text: str) -> bool:
    """Whether what a text begins with does not rule it out."""
    return text.lstrip()[:1] in ("", "{")


def begins(text: str) -> bool:
    """Whether a text that begins so may be such an export."""
    return text.lstrip()[:1] == "{" and '"messages"' in text[:HEAD]


def cleaned(pieces: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """As `kinds.cleaned`, of such an export; what is none is left as it is."""
    text = "".join(pieces)
    try:
        # Bytes that are no UTF-8 came in as lone surrogates, which JSON cannot have.
        export = msgspec.json.decode(text.encode("utf-8", lines.UNDECODABLE).decode("utf-8", "replace"))
        chats = export.get("chats", {}).get("list", [export])
        messages = [message for chat in chats for message in chat["messages"]]
        said = [_said(message) for message in messages]
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        yield text
        return
    counts["time stamps"] += len(said)
    for sender, words, kind in said:
        if kind not in ("message", "Default", "Reply"):
            counts["notices"] += 1
        elif words:
            yield f"{sender}: {words}\n" if sender else f"{words}\n"
        else:
            counts["placeholders of media"] += 1


def _said(message: dict[str, Any]) -> tuple[str, str, str]:
    """Who says what, and of which kind that is."""
    author = message.get("author") or {}
    sender = message.get("from") or author.get("nickname") or author.get("name") or ""
    parts = message.get("text", message.get("content")) or ""
    if not isinstance(parts, str):  # links and the like are objects
        parts = "".join(part if isinstance(part, str) else part["text"] for part in parts)
    return sender, parts.strip(), message["type"]
