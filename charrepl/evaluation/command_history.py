"""What a history suggests while a command is typed: the latest that begins as the line does. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence


class CommandHistory:
    """The commands entered so far, the oldest first."""

    def __init__(self, commands: Sequence[str] = ()) -> None:
        self._count = 0
        self._newest: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for command in commands:
            self.add(command)

    def add(self, command: str) -> None:
        """Takes note of a command that was entered."""
        self._newest[command[:1]][command] = self._count
        self._count += 1

    def recalled(self, command: str) -> Iterator[str]:
        """While a command is typed: after each of its characters but the last, the rest of the latest line.

        It is empty where none goes on. Of a command of several lines, it is the first.
        """
        newest = self._newest[command[:1]]
        found = sorted(newest, key=newest.__getitem__, reverse=True)
        for at in range(1, len(command)):
            found = [other for other in found if other.startswith(command[:at])]
            latest = next((other for other in found if len(other) > at), "")
            yield latest[at:].partition("\n")[0]
