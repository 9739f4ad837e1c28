"""Counts what was taken of ghosts where nobody tells it: the next text shows it. No text is kept."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from charrepl.suggestions.keys_saved import KeysSaved

_TOLD = 256  # characters before a ghost
_REMEMBERED = 16  # ghosts


@dataclass(frozen=True, slots=True)
class _Shown:
    host: str
    end: str  # of the text before it
    ghost: str
    saved: int | None  # keys, before it was shown


class TakenGhosts:
    """Counts the ghosts that were shown, and those that the next text of their document begins with.

    A writer who types the same by hand, without a request in between, is counted too, because nobody tells an
    HTTP server. Where a host tells it, it is known: `saved` is how many keys ghosts have saved there so far,
    of any text of that document.
    """

    def __init__(self, counts: KeysSaved) -> None:
        self._counts = counts
        self._shown: deque[_Shown] = deque(maxlen=_REMEMBERED)

    def text(self, host: str, before: str, *, saved: int | None = None) -> None:
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
                self._shown.append(_Shown(host, _end(before), one.ghost[1:], one.saved))
            elif alike > 1:
                most = alike - 1  # one key takes all
                fewer = most if saved is None or one.saved is None else min(saved - one.saved, most)
                if fewer > 0:
                    self._counts.note(host, taken=1, characters=alike, keys=alike - fewer)

    def shown(self, host: str, before: str, ghost: str, *, saved: int | None = None) -> None:
        """Records a ghost. What is left of one that is being typed through counts as the same one."""
        end = _end(before)
        if not any((one.host, one.end, one.ghost[0]) == (host, end, ghost[0]) for one in self._shown):
            self._counts.note(host, shown=1)
            self._shown.append(_Shown(host, end, ghost, saved))


def _end(before: str) -> str:
    """What tells a place in a text from others, though the editor sends less and less of what is above."""
    return before[-_TOLD:]
