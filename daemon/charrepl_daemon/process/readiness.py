"""Tells `start`, through a pipe, and systemd when the daemon is ready, or why it is not.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import time
from pathlib import Path

READY = "ready"
TAKEN = "taken"  # another daemon has the lock


class ReadinessNotifier:
    """The pipe to the process that started us, for one line. None if nobody waits."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, line: str) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # the other process has given up
                os.write(self._descriptor, line.encode(errors="surrogateescape") + b"\n")
            self.close()

    def close(self) -> None:
        """Closes the pipe, so that nobody waits any longer. You may call it more than once."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_line(descriptor: int, timeout_s: float) -> str | None:
    """What the daemon wrote into the pipe. Empty if it ended, None if it wrote nothing in time."""
    deadline, said = time.monotonic() + timeout_s, b""
    while not said.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        piece = os.read(descriptor, 65_536)
        if not piece:
            break
        said += piece
    return said.decode(errors="surrogateescape").strip()


def notify(state: str) -> None:
    """Sends systemd one or more lines such as `READY=1`, if systemd started us. Never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.connect(address)
            link.send(state.encode())
    except OSError:
        pass  # systemd will notice by itself


def unit() -> str:
    """The systemd unit, `NAME.service`, whose main process this is; empty if it is not."""
    own = str(os.getpid())
    # A shell in another unit passes these variables on.
    if not os.environ.get("NOTIFY_SOCKET") or os.environ.get("SYSTEMD_EXEC_PID", own) != own:
        return ""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        groups = ""
    found = re.findall(r"/([^/\n]+\.service)(?=/|$)", groups, re.MULTILINE)
    return found[-1] if found else "charrepl-daemon.service"
