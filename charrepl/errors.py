"""The one base error: whatever a user can cause ends as a single line that names the fix."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path


class CharreplError(Exception):
    """What was wrong, what was expected and what to do, in one line.

    `code` is the machine-readable kind, as carried by the wire's `error` message.
    """

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


class DaemonUnavailableError(CharreplError):
    """No daemon answers, and none could be started."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unavailable")


class ConnectionLostError(DaemonUnavailableError):
    """The daemon, or the way to it, has gone while an answer was awaited."""


def reason(error: BaseException) -> str:
    """The short human cause of an error: `No space left on device` rather than `[Errno 28] ...`."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        from charrepl import resource_shortage  # which looks at what bounds this process

        return resource_shortage.of(error) or str(error.strerror)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def defect(error: BaseException) -> str:
    """What to say of an error that nobody but its author can mend, and where it is."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" ({Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno})" if place else ""
    return f"a defect in charrepl, please report it: {type(error).__name__}: {reason(error)}{where}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean NAME?` for the name nearest to `word`; empty where none is near."""
    from difflib import get_close_matches  # few make mistakes, and it is not small

    near = get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
