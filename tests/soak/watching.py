"""A daemon's memory and file descriptors, and whether they grow."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from charrepl_daemon.lifecycle import control

WARM_UP = 0.25  # the part of the time that is not judged: caches fill


def resident_mb(pid: int) -> float:
    """The memory that a process has in use."""
    found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(found.stdout) / 1024


def descriptors(pid: int) -> int:
    """How many file descriptors a process has open; 0 where the system does not tell."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


class Watch:
    """Looks at a process: the daemon that runs now."""

    def __init__(self, pid: int | None = None) -> None:
        if pid is None:
            found = control.running()
            assert found is not None
            pid = found.pid
        self.pid = pid
        self._began = time.monotonic()
        self._seen: list[tuple[float, float, int]] = []
        self.look()

    def look(self) -> None:
        """Takes note of how much it has in use."""
        self._seen.append((time.monotonic() - self._began, resident_mb(self.pid), descriptors(self.pid)))

    def report(self, growth: float) -> bool:
        """Prints what it had early, after warm-up, and late; returns whether that is more by `growth`.

        That is the least that was seen of each: what a flood takes, and the allocator keeps for a while after
        it, depends on which floods came when. What leaks is never given back, and raises the least as well.
        """
        total = self._seen[-1][0]
        judged = [look for look in self._seen if look[0] >= WARM_UP * total]
        third = max(1, len(judged) // 3)
        early, late = judged[:third], judged[-third:]
        memory = [min(look[1] for look in part) for part in (early, late)]
        files = [min(look[2] for look in part) for part in (early, late)]
        print(
            f"one daemon for {total:.0f} s: resident {memory[0]:.1f} MB after warm-up, {memory[1]:.1f} at "
            f"the end ({100 * (memory[1] / memory[0] - 1):+.1f} %); descriptors {files[0]:.0f} "
            f"and {files[1]:.0f}; at most {max(look[1] for look in self._seen):.1f} MB"
        )
        return memory[1] > growth * memory[0] or files[1] > max(growth * files[0], files[0] + 8)
