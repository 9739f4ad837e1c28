"""A process that is halted, as Ctrl-Z halts one."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.waiting import until


def halt(pid: int) -> None:
    """Halts it, and returns once none of its threads runs: that takes a moment after the signal was sent."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all(state == "T" for state in _states(pid)))


def _states(pid: int) -> list[str]:
    """Of each thread where `ps` tells them apart, else of the process."""
    for threads in (["-L"], ["-M"], []):
        found = subprocess.run(
            ["ps", *threads, "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
        )
        if found.returncode == 0:
            return [line.strip()[0] for line in found.stdout.splitlines()]
    raise AssertionError(found.stderr)
