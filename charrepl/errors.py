"""The base error. Every error that a user can cause ends as one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path


class CharreplError(Exception):
    """An error whose message says in one line what was wrong, what was expected, and what to do.

    `code` is its kind for programs, as in the wire's `error` message.
    """

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


class DaemonUnavailableError(CharreplError):
    """No daemon answers, and none could be started."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unavailable")


class ConnectionLostError(DaemonUnavailableError):
    """The daemon, or the connection to it, was lost before an answer came."""


def reason(error: BaseException) -> str:
    """The short cause of an error, for people: `No space left on device` rather than `[Errno 28] ...`."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        from charrepl import resource_shortage  # looks at this process's limits

        return resource_shortage.cause(error) or str(error.strerror)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def defect(error: BaseException) -> str:
    """The message for a defect, which only the authors can fix. It says where the defect is."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" ({Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno})" if place else ""
    return f"a defect in charrepl, please report it: {type(error).__name__}: {reason(error)}{where}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean NAME?` for the name nearest to `word`; empty if none is near."""
    from difflib import get_close_matches  # rarely needed, and slow to import

    near = get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
