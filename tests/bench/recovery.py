"""How soon a prompt has its ghost again after the daemon is killed: `make bench-daemon`.

A real prompt in a real terminal, with the bundled model and the daemon that it started itself. The daemon
is killed (SIGKILL), some keys are typed at once, and the clock runs until the ghost of the longer text is
there: noticing, starting a new daemon, compiled programs read back, and decoding.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from charrepl.client import Client
from tests.bench import results
from tests.bench.daemon_speed import COMMAND
from tests.charrepl.screen import Screen

KILLS = 5
LINE = "This is the end"
KEYS = " of the wor", " to my good lor"  # typed once it is dead: those of which the ghost says nothing


def main() -> None:
    """Prints the median and the slowest of some deaths."""
    directory = results.option(__doc__)
    with tempfile.TemporaryDirectory(prefix="cr-") as place:
        for name in ("DATA", "CONFIG"):
            os.environ[f"CHARREPL_{name}_DIR"] = f"{place}/{name.lower()}"
        times = []
        for n in range(KILLS):
            # In a place of its own: where daemons end in a row, a prompt waits before it starts another.
            os.environ["CHARREPL_RUNTIME_DIR"] = f"{place}/run{n}"
            times.append(_recovery())
    print(
        f"kill -9 to the next ghost in a prompt, {KILLS} times: "
        f"median {statistics.median(times):.2f} s  slowest {max(times):.2f} s"
    )
    row = {"kills": KILLS, "median_s": round(statistics.median(times), 2), "slowest_s": round(max(times), 2)}
    results.write(directory, "recovery", [row])


def _recovery() -> float:
    program = "from charrepl.cli.main import main; main()"
    command = [sys.executable, "-c", program, "--assertiveness", "bold"]
    try:
        with Screen(command, env={**os.environ, "TERM": "xterm-256color"}) as screen:
            screen.wait_for(_served).type(LINE)
            screen.wait_for(lambda s: s.before_cursor == LINE)
            return _death(screen)
    finally:
        subprocess.run([*COMMAND, "stop"], check=True, stdout=subprocess.DEVNULL)


def _served(screen: Screen) -> bool:
    return "shakespeare · " in screen.text and "daemon" not in screen.text


def _death(screen: Screen) -> float:
    with Client(autostart=False) as client:
        pid = client.status()["pid"]
    # Keys that a ghost expects need no daemon.
    keys = next(keys for keys in KEYS if not screen.ghost.startswith(keys[:2]))
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    screen.type(keys)
    screen.wait_for(lambda s: not _served(s))  # else what was known before would count
    screen.wait_for(lambda s: s.before_cursor == LINE + keys and s.ghost and _served(s))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
