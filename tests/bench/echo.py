"""From a key to its echo in a real terminal, whatever the daemon does: `make bench`.

Types at a prompt as fast as a person might, in turn with a daemon that is at rest, at work for other
writers, stopped in the middle (SIGSTOP), and killed, with the next one starting. A key is echoed when
the cursor has moved on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.bench import results
from tests.bench.daemon_speed import daemon, percentiles, places
from tests.charrepl.screen import Screen

KEYS, GAP_S = 200, 0.04
WRITERS = 4
CTRL_C, CTRL_D = "\x03", "\x04"
TEXT = "Now what, my good old lord, is in that box of yours? I would not know it; yet. "
CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()", "--assertiveness", "bold"]
WORK = """\
from charrepl.client import Client
with Client() as client:
    for piece in client.sample("ROMEO:\\n", max_chars=1_000_000):
        pass
"""


def echoes_ms(screen: Screen) -> list[float]:
    """The milliseconds from each key to its echo."""
    found: list[float] = []
    for count, key in zip(range(KEYS), itertools.cycle(TEXT), strict=False):
        if count % len(TEXT) == 0:
            screen.type(CTRL_C)
            screen.wait_for(lambda s: s.cursor[0] == 2)
        column = screen.cursor[0] + 1
        began = time.perf_counter()
        screen.type(key)
        screen.wait_for(lambda s, column=column: s.cursor[0] == column)
        found.append(1000 * (time.perf_counter() - began))
        screen.take_in(GAP_S)
    return found


@contextlib.contextmanager
def others_writing() -> Iterator[None]:
    """Writers who have the daemon write passage after passage."""
    writers = [subprocess.Popen([sys.executable, "-c", WORK]) for _ in range(WRITERS)]
    try:
        time.sleep(1)  # until they have begun
        yield
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def main() -> None:
    """Prints a line for each state of the daemon."""
    from charrepl_daemon.lifecycle import control

    directory = results.option(__doc__)
    rows: list[results.Row] = []

    def show(state: str, values: list[float]) -> None:
        rows.append({"daemon": state, **results.percentiles(values), "slowest_ms": round(max(values), 2)})
        print(f"key to echo, daemon {state:28} {percentiles(values)}  max {max(values):6.2f} ms", flush=True)

    with places(), daemon("auto"):
        found = control.running()
        assert found is not None
        with Screen(CHARREPL, env={**os.environ, "TERM": "xterm-256color"}, columns=120) as screen:
            screen.wait_for("shakespeare · CPU")
            show("at rest", echoes_ms(screen))
            with others_writing():
                show(f"at work for {WRITERS} others", echoes_ms(screen))
            os.kill(found.pid, signal.SIGSTOP)
            show("hung", echoes_ms(screen))
            os.kill(found.pid, signal.SIGKILL)
            show("dead, the next one starting", echoes_ms(screen))
            screen.wait_for("shakespeare · CPU").type(CTRL_C + CTRL_D)
            screen.wait_for_exit()
    results.write(directory, "echo", rows)


if __name__ == "__main__":
    main()
