"""Telling who waits for the daemon how far it is: `start`, through a pipe, and systemd.

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
TAKEN = "taken"  # by another daemon, the lock


class ReadinessNotifier:
    """The pipe to whoever started us, or None where nobody waits: one line goes through it."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, line: str) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # whoever started us has given up
                os.write(self._descriptor, line.encode(errors="surrogateescape") + b"\n")
            self.close()

    def close(self) -> None:
        """Lets whoever waits know that nothing more will be said; safe to repeat."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_line(descriptor: int, timeout_s: float) -> str | None:
    """What the daemon said through its pipe; empty if it ended, None if it said nothing in time."""
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
    """Tells systemd, if it started us, one or more lines as `READY=1`. Never fails."""
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
        pass  # systemd will find out by itself


def unit() -> str:
    """The systemd unit that this process is the main one of, if it is: `NAME.service`."""
    own = str(os.getpid())
    # A shell in somebody else's unit hands these on.
    if not os.environ.get("NOTIFY_SOCKET") or os.environ.get("SYSTEMD_EXEC_PID", own) != own:
        return ""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        groups = ""
    found = re.findall(r"/([^/\n]+\.service)(?=/|$)", groups, re.MULTILINE)
    return found[-1] if found else "charrepl-daemon.service"
