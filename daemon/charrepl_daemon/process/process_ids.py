"""Identifies processes by more than their pid, because another process may get it when they have ended.

A pid also means nothing where its process is not visible, for example in another container with the
same directories.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SOL_LOCAL, _LOCAL_PEERPID = 0, 2  # macOS, sys/un.h
_CONNECT_S = 1


def birth(pid: int) -> str:
    """When and where the process with a pid began: no other process has both. Empty if none is visible."""
    if pid <= 0:
        return ""
    try:
        if sys.platform == "linux":
            # The name, in parentheses, may hold anything; the start is field 22 (man 5 proc_pid_stat).
            started = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot} {Path('/proc/self/ns/pid').readlink()} {started}"
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        env = {**os.environ, "LC_ALL": "C"}
        return subprocess.run(asked, env=env, capture_output=True, text=True, check=False).stdout.strip()
    except (OSError, IndexError):
        return ""


def listening_at(endpoint: str) -> int:
    """The pid of the process that listens at an ipc endpoint, as the system says; 0 if none is visible."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            # Not Python's timeout, which fails immediately if many connections wait.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _CONNECT_S, 0))
            probe.connect(endpoint.removeprefix("ipc://"))
            if sys.platform == "linux":
                size = struct.calcsize("3i")
                pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
            else:
                pid = probe.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
    except OSError:
        return 0
    return max(0, int(pid))
