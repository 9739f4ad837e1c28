"""What a history suggests: the latest command that goes on as the line does."""

from __future__ import annotations

from charrepl.evaluation.command_history import CommandHistory


def test_the_latest_command_that_goes_on_is_recalled() -> None:
    history = CommandHistory(["git log", "git add .", "ls", "git ad", "git log"])
    assert list(history.recalled("git adx")) == ["it log", "t log", " log", "log", "d", "d ."]
    assert list(history.recalled("no")) == [""]
    history.add("now\nand\nthen")
    assert list(history.recalled("now\n")) == ["ow", "w", ""]
