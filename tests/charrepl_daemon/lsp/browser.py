"""A page in a real Chromium without a window, driven through its debugging pipe."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shlex
import subprocess
import tempfile
import time
from typing import Any, Self

from tests.waiting import DEADLINE_S

# As root it has no sandbox; and a container's /dev/shm may be small.
_OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]
CONTROL = 2  # of a key's modifiers
_KEYS = {"\t": ("Tab", 9), "\r": ("Enter", 13), "\b": ("Backspace", 8), "\x1b": ("Escape", 27)}


class Browser:
    """One page; `with` ends the browser."""

    def __init__(self, program: str, *, width: int, height: int) -> None:
        self._numbers = itertools.count(1)
        self._place = tempfile.TemporaryDirectory(prefix="cr-", ignore_cleanup_errors=True)
        (read, theirs), (their_read, write) = os.pipe(), os.pipe()
        size = f"--window-size={width},{height}"
        command = shlex.join([program, *_OPTIONS, size, f"--user-data-dir={self._place.name}", "about:blank"])
        # It reads from 3 and writes to 4.
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command} 3<&{their_read} 4>&{theirs}"],
            pass_fds=[their_read, theirs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(their_read)
        self._reading, self._writing = os.fdopen(read, "rb"), os.fdopen(write, "wb", 0)
        self._unread = b""
        self._session: str | None = None
        pages = [found for found in self._call("Target.getTargets")["targetInfos"] if found["type"] == "page"]
        attached = self._call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE_S)
        self._reading.close()
        self._writing.close()
        self._place.cleanup()

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """What JavaScript says."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Returns once it is true."""
        assert self.becomes(expression, within_s=DEADLINE_S), f"never true: {expression}"

    def becomes(self, expression: str, *, within_s: float) -> bool:
        """Whether it is true before long."""
        deadline = time.monotonic() + within_s
        while not self.value(expression):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def type(self, text: str) -> None:
        """Presses the keys that write it."""
        for char in text:
            name, number = _KEYS.get(char, (char, ord(char.upper())))
            written = char if char.isprintable() or char == "\r" else ""
            self.press(name, number, text=written)

    def press(self, name: str, number: int, *, text: str = "", modifiers: int = 0) -> None:
        """Presses a key, down and up. `number` is what Windows has for it."""
        key: dict[str, Any] = {"key": name, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        key |= {"code": name} if len(name) > 1 else {}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self._call("Input.dispatchKeyEvent", **key, **down)
        self._call("Input.dispatchKeyEvent", **key, type="keyUp")

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._writing.write(json.dumps(message).encode() + b"\0")
        while (said := self._message()).get("id") != number:
            pass
        assert "error" not in said, said
        return said["result"]

    def _message(self) -> Any:
        while b"\0" not in self._unread:
            piece = os.read(self._reading.fileno(), 65_536)
            assert piece, "the browser has gone"
            self._unread += piece
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)
