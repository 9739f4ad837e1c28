"""`charrepl-daemon top`: how the daemon is, again and again, until somebody has seen enough."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from charrepl.client import Client
from charrepl.errors import CharreplError, DaemonUnavailableError
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl.system.standard_streams import echo
from charrepl.wire import protocol
from charrepl_daemon.metrics import status_report

if TYPE_CHECKING:
    from rich.console import RenderableType

_ANSWER_S = 2.0


class Rate:
    """Requests a second between two looks at the same daemon."""

    def __init__(self) -> None:
        self._last: tuple[int, int, float] | None = None

    def __call__(self, status: status_report.Status, now: float) -> float:
        """The rate since the last call at which the same daemon ran, in seconds of any clock; else 0."""
        last, self._last = self._last, (status["pid"], status["requests"], now)
        if last is None or last[0] != status["pid"] or now <= last[2]:
            return 0.0
        requests: int = status["requests"] - last[1]
        return requests / (now - last[2])


def run(interval_s: float, endpoint: str | None = None) -> None:
    """Shows it until q or Ctrl-C in a terminal; as a line every `interval_s` seconds elsewhere."""
    rate, counts = Rate(), KeysSaved()
    # A terminal that cannot move its cursor gets lines too.
    live = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    with (
        contextlib.suppress(KeyboardInterrupt),
        Client(endpoint=endpoint, autostart=False, greet=False) as client,
    ):
        if live:
            _live(lambda: _look(client, counts), rate, interval_s)
        else:
            _plain(lambda: _look(client, counts), rate, interval_s)


def _look(client: Client, counts: KeysSaved) -> dict[str, Any] | CharreplError:
    try:
        reply = client.ask(protocol.Status(seq=0), timeout_s=_ANSWER_S)
    except DaemonUnavailableError as error:
        return error
    assert isinstance(reply, protocol.Report)
    return {**reply.status, "keys_saved": counts.saved_by_host()}


def _waiting(error: CharreplError) -> str:
    answers = "no daemon" if "no daemon" in str(error) else "the daemon does not answer"
    return f"{answers}; waiting"


def _plain(look: Callable[[], dict[str, Any] | CharreplError], rate: Rate, interval_s: float) -> None:
    while True:
        found = look()
        if isinstance(found, CharreplError):
            line = _waiting(found)
        else:
            line = f"pid {found['pid']}, {status_report.activity(found, rate(found, time.monotonic()))}"
            stages = found["latency_ms"]
            for stage in ("first_piece", "full_ghost"):
                if "p50" in stages[stage]:
                    times = ", ".join(f"{p} {stages[stage][p]:.1f}" for p in ("p50", "p90", "p99"))
                    line += f"; {stage.replace('_', ' ')} ms: {times}"
        echo(line)
        time.sleep(interval_s)


def _live(look: Callable[[], dict[str, Any] | CharreplError], rate: Rate, interval_s: float) -> None:
    from rich.live import Live

    with _keys() as pressed, Live(screen=True, auto_refresh=False) as live:
        due = time.monotonic()
        while True:
            found = look()
            if isinstance(found, CharreplError):
                live.update(_page(_waiting(found)), refresh=True)
            else:
                live.update(_page(found, rate(found, time.monotonic())), refresh=True)
            due = max(due + interval_s, time.monotonic())
            while (left := due - time.monotonic()) > 0:
                if pressed(left) in ("q", "Q", "\x04", ""):  # or the end of the terminal
                    return


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """Reads keys as they are pressed, unseen. Yields a function that waits so many seconds for one."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(timeout_s: float) -> str | None:
        if select.select([terminal], [], [], timeout_s)[0]:
            return os.read(terminal, 1).decode("latin-1")
        return None

    try:
        tty.setcbreak(terminal)  # Ctrl-C stays what it is
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _page(found: dict[str, Any] | str, rate: float = 0.0) -> RenderableType:
    from rich.text import Text

    page = Text(no_wrap=True, overflow="ellipsis")
    if isinstance(found, str):
        page.append(f"{found}\n", style="bold")
    else:
        page.append(f"{status_report.headline(found)}\n", style="bold")
        page.append(f"{status_report.activity(found, rate)}\n")
        for rows in (status_report.latency(found), status_report.models(found)):
            titles, *lines = status_report.table(rows)
            page.append(f"\n{titles}\n", style="dim")
            page.append("".join(f"{line}\n" for line in lines))
        if saved := status_report.saved(found):
            page.append(f"\n{saved}\n")
        page.append("".join(f"\n{line}" for line in status_report.faults(found)) + "\n", style="yellow")
    return page.append("\nq quits", style="dim")
