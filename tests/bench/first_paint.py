"""How long after its start `charrepl` has drawn its prompt, in a real terminal: `make bench`.

Prints the median and the minimum of ten starts: until the prompt is there (keys typed from then on
wait unseen) and until the whole frame is (they are shown). Beside them the interpreter's own start
and the import of prompt_toolkit, which no whole frame can do without.
"""

from __future__ import annotations

import functools
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from tests.bench import results

STARTS = 10
TOOLBAR = b"connecting"  # the last that the first frame draws
BARE = [sys.executable, "-c", "pass"]
TOOLKIT = [sys.executable, "-c", "import prompt_toolkit.application"]
# An endpoint of its own, so that it starts no daemon, whose start would be timed with the next one.
CHARREPL = [
    sys.executable,
    "-c",
    "from charrepl.cli.main import main; main()",
    "--endpoint",
    "ipc:///nowhere",
]


def until_seen(what: bytes, command: list[str]) -> float:
    """Seconds from the start of a command until it has written `what` to its terminal."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if not pid:
        os.execv(command[0], command)
    seen = b""
    while what not in seen:
        if not select.select([terminal], [], [], 20)[0]:
            raise SystemExit(f"no {what!r}: {seen!r}")
        seen += os.read(terminal, 65_536)
    took = time.perf_counter() - began
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return took


def until_exit(command: list[str]) -> float:
    """Seconds a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Prints a line for each."""
    directory = results.option(__doc__)
    with tempfile.TemporaryDirectory(prefix="cr-") as place:
        os.environ.update(
            CHARREPL_DATA_DIR=f"{place}/data", CHARREPL_CONFIG_DIR=place, CHARREPL_RUNTIME_DIR=f"{place}/run"
        )
        measures: list[tuple[str, Callable[[list[str]], float], list[str]]] = [
            ("bare interpreter", until_exit, BARE),
            ("import prompt_toolkit", until_exit, TOOLKIT),
            ("charrepl, prompt drawn", functools.partial(until_seen, b"m>"), CHARREPL),  # after "bold"
            ("charrepl, frame drawn", functools.partial(until_seen, TOOLBAR), CHARREPL),
        ]
        times: dict[str, list[float]] = {name: [] for name, _, _ in measures}
        for _ in range(STARTS + 1):  # in turn, so that a slow moment touches all; the first warms up
            for name, measure, command in measures:
                times[name].append(1000 * measure(command))
        rows: list[results.Row] = []
        for name, values in times.items():
            kept = values[1:]
            rows.append(
                {
                    "what": name,
                    "median_ms": round(statistics.median(kept), 1),
                    "minimum_ms": round(min(kept), 1),
                }
            )
            print(f"{name:24} median {statistics.median(kept):6.1f} ms  minimum {min(kept):6.1f} ms")
        results.write(directory, "first_paint", rows)


if __name__ == "__main__":
    main()
