"""Who may ask: whoever has the key, and no web page. Every local user and every page reaches the port."""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from charrepl.client import credentials
from charrepl.suggestions.hosts import HOSTS
from charrepl.system import paths

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANEW = "charrepl serve --new-key"
OPEN = ("/health", "/v1/health")  # which say nothing of anybody's text


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    kind: str
    message: str


def key(*, new: bool = False) -> str:
    """The key that clients must have, made the first time, or if a `new` one is wanted.

    Raises CharreplError if its file cannot be written, or read, or if others can read it.
    """
    file = paths.private_dir(paths.keys_dir()) / "serve.key"
    found = None if new else credentials.read_secret(file, anew=ANEW)
    if found is not None:
        return found
    with contextlib.suppress(FileExistsError):  # another program was quicker
        about = "what clients of charrepl serve must show"
        credentials.write(file, secrets.token_hex(20), about=about, replace=new)
    return credentials.read_secret(file, anew=ANEW) or ""


def key_of(host: str, key: str) -> str:
    """The key that a host gets: its ending says which host it is."""
    return f"{key}.{host}"


class Access:
    """Checks requests against a key; with None, as on a socket that only its owner can open, against none."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def admitted(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> str | Refusal:
        """The host that asks, as in `HOSTS`, or why it may not."""
        said: dict[bytes, bytes] = {}
        for name, value in headers:
            if name == b"host" and name in said:
                return Refusal(403, "forbidden", "the request names two hosts")
            said[name] = value
        if b"origin" in said:
            return Refusal(403, "forbidden", "web pages may not ask: the request has an Origin")
        if self._key is not None:
            asked = re.sub(r":\d*\Z", "", said.get(b"host", b"").decode("latin-1").lower())
            if asked not in _LOOPBACK:
                return Refusal(403, "forbidden", "the request is for another host: ask 127.0.0.1")
        scheme, _, shown = said.get(b"authorization", b"").decode("latin-1").partition(" ")
        shown, _, host = shown.strip().partition(".")
        valid = self._key is None or (
            scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), self._key.encode())
        )
        if not valid and path not in OPEN:
            return Refusal(
                401,
                "authentication_error",
                "the key is missing or wrong: charrepl serve --print-key prints it, "
                "to be sent as Authorization: Bearer KEY",
            )
        return host if host in HOSTS else "openai"
