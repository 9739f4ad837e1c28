"""Which signals a program should handle. If the program that started it ignores some, they stay ignored."""

from __future__ import annotations

import signal
from collections.abc import Iterable


def heeded(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """The signals that were not ignored when this program was started.

    `nohup` ignores SIGHUP. A shell without job control ignores SIGINT and SIGQUIT for background programs.
    """
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
