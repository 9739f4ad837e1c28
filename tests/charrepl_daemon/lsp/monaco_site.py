"""VS Code's editor core, Monaco, in Chromium: a page with an editor, and a bridge to our language server.

`make build/monaco` brings Monaco, from npm.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.charrepl.editor import Wire, wire
from tests.charrepl_daemon.lsp.browser import Browser

ROOT = Path(__file__).parents[3]
MONACO = ROOT / "build" / "monaco" / "node_modules" / "monaco-editor" / "min"
PAGE = Path(__file__).parent / "monaco.html"
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
# What is drawn of a ghost, as JavaScript.
GHOST = (
    "[...document.querySelectorAll('.view-lines [class*=ghost-text]')]"
    ".map((element) => element.textContent).join('').replaceAll('\\u00a0', ' ')"
)


class Site(http.server.ThreadingHTTPServer):
    """The page, Monaco's files, and a bridge to a language server."""

    def __init__(self, server: Wire) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.language_server = server
        self.numbers = iter(range(2, 1_000_000))
        self.lock = threading.Lock()

    def relay(self, method: str, params: Any) -> Any:
        """The result of a request; None for a notification."""
        with self.lock:
            if method.startswith("textDocument/did"):
                self.language_server.tell(method, params)
                return None
            number = next(self.numbers)
            found = self.language_server.ask(method, params, number=number)
            while found.get("id") != number:
                found = self.language_server.answer()
            return found["result"]


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Site

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(MONACO))

    def translate_path(self, path: str) -> str:
        return str(PAGE) if path == "/page.html" else super().translate_path(path)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(self.server.relay(asked["method"], asked["params"])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def monaco(*options: str, width: int = 640, height: int = 160) -> Iterator[tuple[Browser, Site]]:
    """An editor with the keyboard's focus, and its language server."""
    assert CHROMIUM is not None
    with wire(*options) as server, Site(server) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            with Browser(CHROMIUM, width=width, height=height) as browser:
                browser.open(f"http://127.0.0.1:{site.server_port}/page.html")
                browser.wait_for("window.editor && window.editor.hasTextFocus()")
                yield browser, site
        finally:
            site.shutdown()
