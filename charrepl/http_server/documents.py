"""What HTTP does not tell: which requests are of one document."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED = 2048  # characters before the cursor's line


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
