"""Which signals a program should heed: whoever starts it may have had some ignored, and means it."""

from __future__ import annotations

import signal
from collections.abc import Iterable


def heeded(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those of the signals that were not ignored when this program was started.

    `nohup` ignores SIGHUP; a shell without job control, SIGINT and SIGQUIT in what it runs in the background.
    """
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
