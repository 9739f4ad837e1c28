"""What HTTP does not tell: which requests are of one document, and whether a ghost was taken."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from charrepl.suggestions.keys_saved import KeysSaved

_COMPARED = 2048  # characters before the cursor's line
_TOLD = 256  # characters before a ghost
_REMEMBERED = 16  # ghosts


@dataclass(slots=True)
class _Typing:
    """A document in which a request is under way."""

    above: tuple[int, str]  # its lines before the cursor's: how long, and the end of them
    line: str  # up to the cursor
    requests: int = 0


class Documents:
    """The documents with requests under way, numbered.

    A request is of the same document as another one if the lines above the cursor are the same and one of the
    two went on typing, or deleting, where the other one was.
    """

    def __init__(self) -> None:
        self._typing: dict[int, _Typing] = {}

    @contextlib.contextmanager
    def entered(self, before: str) -> Iterator[int]:
        """The number of the document that has `before` before its cursor, while a request is under way."""
        cut = before.rfind("\n") + 1
        above, line = (cut, before[max(0, cut - _COMPARED) : cut]), before[cut:]
        number = self._same(above, line)
        document = self._typing.setdefault(number, _Typing(above, line))
        document.line = line
        document.requests += 1
        try:
            yield number
        finally:
            document.requests -= 1
            if not document.requests:
                del self._typing[number]

    def _same(self, above: tuple[int, str], line: str) -> int:
        for number, one in self._typing.items():
            if one.above == above and (line.startswith(one.line) or one.line.startswith(line)):
                return number
        return next(number for number in itertools.count() if number not in self._typing)


@dataclass(frozen=True, slots=True)
class _Shown:
    host: str
    end: str  # of the text before it
    ghost: str


class TakenGhosts:
    """Counts the ghosts that were shown, and those that the next text of their document begins with.

    A writer who types the same by hand, without a request in between, is counted too, because nobody tells an
    HTTP server.
    """

    def __init__(self, counts: KeysSaved) -> None:
        self._counts = counts
        self._shown: deque[_Shown] = deque(maxlen=_REMEMBERED)

    def text(self, host: str, before: str) -> None:
        """Records a text that somebody has before the cursor."""
        for one in list(self._shown):
            near = before[-len(one.end) - 2 * len(one.ghost) :]
            at = near.rfind(one.end)
            typed = near[at + len(one.end) :] if at >= 0 else ""
            if one.host != host or not typed:
                continue
            alike = next((n for n, char in enumerate(typed) if char != one.ghost[n : n + 1]), len(typed))
            self._shown.remove(one)
            if alike == len(typed) == 1 and len(one.ghost) > 1:  # it is typed through
                self._shown.append(_Shown(host, _end(before), one.ghost[1:]))
            elif alike > 1:
                self._counts.note(host, taken=1, characters=alike, keys=1)

    def shown(self, host: str, before: str, ghost: str) -> None:
        """Records a ghost. What is left of one that is being typed through counts as the same one."""
        end = _end(before)
        if not any((one.host, one.end, one.ghost[0]) == (host, end, ghost[0]) for one in self._shown):
            self._counts.note(host, shown=1)
            self._shown.append(_Shown(host, end, ghost))


def _end(before: str) -> str:
    """What tells a place in a text from others, though the editor sends less and less of what is above."""
    return before[-_TOLD:]
