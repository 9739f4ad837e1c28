"""A real `charrepl serve`, and what an HTTP client in a few lines is told."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from tests.charrepl.prompt import CHARREPL
from tests.waiting import DEADLINE_S


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpSite:
    """A server in a process of its own, on a free port; `with` ends it."""

    def __init__(self, *options: str, env: Mapping[str, str] | None = None, key: str = "") -> None:
        self.env = env
        self.key = key or self._say("--print-key").strip()
        self.process = subprocess.Popen(
            [*CHARREPL, "serve", "--port", "0", *options],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)
        self.port = int(found[1]) if found else 0

    def _say(self, *options: str) -> str:
        command = [*CHARREPL, "serve", *options]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=True).stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> str:
        """Ends it as Ctrl-C does, and returns all that it wrote to standard error."""
        self.process.terminate()
        return self.process.communicate(timeout=DEADLINE_S)[1]

    @property
    def head(self) -> dict[str, str]:
        """The headers of a request that is answered."""
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own; with `headers` in place of the usual ones."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, data, dict(self.head if headers is None else headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, *, host: str = "") -> Answer:
        """A request of a host."""
        headers = {**self.head, "Authorization": f"Bearer {self.key}{'.' if host else ''}{host}"}
        return self.ask("POST", path, body, headers=headers)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def request(self, path: str, body: bytes, *, length: int | None = None) -> bytes:
        """The bytes of a POST."""
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
        ).encode() + body


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes, however it does."""
    said = b""
    try:
        while piece := connection.recv(65_536):
            said += piece
    except ConnectionError:
        pass
    return said
