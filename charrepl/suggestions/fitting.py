"""How much of a ghost to show at a cursor: what is worth it, within its lines, and not there already.

Where that is nothing, what a shell's history has is shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from charrepl.ghost.display_policy import ASSERTIVENESS, SHORTEST, shown
from charrepl.suggestions.request import SuggestionRequest
from charrepl.text import graphemes


def has_room(after: str) -> bool:
    """Whether a ghost belongs before `after`: no word follows in its line. Closing brackets may."""
    return re.search(r"\w", after.partition("\n")[0]) is None


def fitted(ghost: str, log_probs: Sequence[float], request: SuggestionRequest) -> str:
    """What to show of a ghost; if nothing is worth it, what was recalled; empty for nothing at all.

    log_probs: nats, one for each character of `ghost`, or none at all.
    """
    ghost = ghost[: _new(ghost, request)]
    log_probs = log_probs[: len(ghost)]
    worth_it = ghost[: shown(ghost, log_probs, ASSERTIVENESS[request.assertiveness])].rstrip("\n")
    if not request.on_demand:
        return worth_it or _recalled(request)
    return ghost.rstrip("\n") if worth_it else _recalled(request) or ghost.rstrip("\n")


def _recalled(request: SuggestionRequest) -> str:
    """What the history has beyond the cursor, which is at the line's end."""
    typed = request.before.rpartition("\n")[2]
    line = request.recalled.partition("\n")[0]
    rest = line.removeprefix(typed) if typed and not request.after.strip() and line.startswith(typed) else ""
    return rest if len(rest) >= SHORTEST else ""


def _new(ghost: str, request: SuggestionRequest) -> int:
    """How much of a ghost is within its lines, and is not what follows the cursor anyway."""
    line = request.before.rpartition("\n")[2]
    rest, _, below = request.after.partition("\n")
    next_line = next((row.strip() for row in below.split("\n", 8)[:8] if row.strip()), "")
    end = 0
    for number, row in enumerate(ghost.split("\n")[: request.lines]):
        whole = (line + row if number == 0 else row).strip()
        if whole and row.strip() and next_line.startswith(whole):
            return end  # it writes the next line, which is there
        if number == 0 and rest.strip() and rest.strip()[0] in row:
            return graphemes.start(ghost, row.index(rest.strip()[0]))
        end += len(row) + (number > 0)
    return end
