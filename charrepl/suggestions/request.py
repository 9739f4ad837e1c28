"""What a host asks, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from charrepl.ghost.display_policy import MIN_CONFIDENCE

# Of a ghost of one line, in characters.
LINE_CHARS = 48
MOST_LINES = 40
MOST_ALTERNATIVES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionRequest:
    """What to suggest at a cursor, and how."""

    document: str  # a newer request of the same document supersedes an older one
    before: str  # all text before the cursor, from `offset` on
    offset: int = 0  # where `before` starts; at most `context_window.window_start` of the whole length
    after: str = ""  # what follows the cursor: the rest of its line and the next lines are enough
    host: str = ""  # as in `hosts.HOSTS`; empty for none that can be switched off by itself
    path: Path | None = None  # absolute: the file or directory, in whose tree `.charrepl-off` may be
    model: str = ""  # a name, or an absolute directory; empty for the default
    assertiveness: str = "normal"  # or "quiet", "bold"
    lines: int = 1  # at most
    alternatives: int = 1  # at most, 1 to 8
    recalled: str = ""  # of a shell's history: the latest command that begins as the last line of `before`
    saved: int | None = None  # keys that ghosts have saved in this document so far, if the host counts them
    on_demand: bool = False  # the writer asked for it: it is shown whatever it is worth
    max_chars: int = 0  # at most; 0 for LINE_CHARS a line
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    adapt: bool = True

    @property
    def most_chars(self) -> int:
        """How long a ghost may be, to be within its lines."""
        most = LINE_CHARS * self._lines
        return max(1, min(self.max_chars or most, most))

    @property
    def stop(self) -> Literal["line", "none"]:
        """Where the daemon ends a ghost before that."""
        return "line" if self._lines == 1 else "none"

    @property
    def min_confidence(self) -> float:
        """The joint probability that cuts a ghost."""
        return 0.0 if self.on_demand else MIN_CONFIDENCE

    @property
    def _lines(self) -> int:
        return max(1, min(self.lines, MOST_LINES))


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What is worth showing, the likeliest first. Nothing is an answer, too.

    `outcome` is "answered" where the text alone decided: the same text gets the same answer. Otherwise there
    is nothing, because a newer request superseded this one, it is late, there is no daemon to ask at the
    moment, or ghosts are off.
    """

    texts: tuple[str, ...] = ()
    outcome: Literal["answered", "superseded", "late", "unavailable", "off"] = "answered"
