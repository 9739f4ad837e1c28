"""What shells' texts tell of what was shown and taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from charrepl.line_protocol.counted_suggestions import CountedSuggestions
from charrepl.suggestions.keys_saved import Counts, KeysSaved
from charrepl.suggestions.request import SuggestionRequest, Suggestions

LINE = "git commit"
Counted = Callable[..., dict[str, Counts]]


async def going_on(request: SuggestionRequest, *, timeout_s: float) -> Suggestions:
    typed = request.before.rpartition("\n")[2]
    rest = LINE[len(typed) :] if LINE.startswith(typed) else ""
    return Suggestions((rest,) if rest else ())


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Asks about texts, each with how many keys were saved before it; the counts by host."""
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))

    def ask(*texts: tuple[str, int | None], host: str = "zsh", on_demand: bool = False) -> dict[str, Counts]:
        async def main() -> None:
            suggest = CountedSuggestions(going_on)
            blank = SuggestionRequest(document="d", before="", host=host, on_demand=on_demand)
            async with suggest.kept():
                for text, saved in texts:
                    await suggest(replace(blank, before=text, saved=saved), timeout_s=1)

        asyncio.run(main())
        return next(iter(KeysSaved().read().values()), {})

    return ask


def test_what_keys_took_of_a_ghost_is_what_they_saved(counted: Counted) -> None:
    texts = [("git", 40), ("git commit\nls", 45)]  # by two words: 7 characters
    assert counted(*texts) == {"zsh": Counts(shown=1, taken=1, characters=7, keys=2)}


def test_a_ghost_that_was_typed_by_hand_was_not_taken(counted: Counted) -> None:
    assert counted(("git", 40), ("git commit\nls", 40)) == {"zsh": Counts(shown=1)}


def test_where_nobody_counts_keys_the_next_text_shows_it(counted: Counted) -> None:
    texts = [("git", None), ("git commit\nls", None)]
    assert counted(*texts) == {"zsh": Counts(shown=1, taken=1, characters=7, keys=1)}


def test_the_key_that_asks_takes_it(counted: Counted) -> None:
    texts = [("git", None), ("git commit\ngit co", None)]
    assert counted(*texts, host="fish", on_demand=True) == {
        "fish": Counts(shown=2, taken=2, characters=11, keys=2)
    }


def test_who_gives_no_name_is_not_counted(counted: Counted) -> None:
    assert counted(("git", None), ("git commit", None), host="") == {}
