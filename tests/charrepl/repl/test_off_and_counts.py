"""The prompt is switched off like other programs that have ghosts, and its keys are counted with theirs."""

from __future__ import annotations

import pytest

from charrepl.suggestions.keys_saved import Counts, KeysSaved
from charrepl.suggestions.off_switch import OffSwitch
from tests.charrepl.prompt import CTRL_D, READY, Bench, shows, typed

OFF = "shakespeare · ghosts are off in prompt: charrepl on --host prompt brings them back"


@pytest.fixture(autouse=True)
def data(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", bench.env["CHARREPL_DATA_DIR"])


def test_the_prompt_is_off_and_on_by_one_word_and_says_so(live: Bench) -> None:
    OffSwitch().turn_off("prompt")
    with live.repl(ready=OFF, columns=100) as screen:
        screen.type("ROMEO:\rIs")
        screen.wait_for(typed("Is")).take_in(0.5)
        assert not screen.ghost and not live.daemon.requests
        OffSwitch().turn_on()
        screen.type(" the")
        screen.wait_for(shows(" day so young?↵")).wait_for(READY)
        OffSwitch().turn_off()
        screen.type("x")
        screen.wait_for("ghosts are off: charrepl on brings them back")


def test_lines_only_say_it_too(live: Bench) -> None:
    OffSwitch().turn_off("prompt")
    with live.start("--plain") as screen:
        screen.wait_for("ghosts are off in prompt: charrepl on")
        screen.type("RO\t")
        screen.wait_for("no ghost: ghosts are off in prompt")


def test_what_ghosts_saved_is_counted_with_the_other_programs(live: Bench) -> None:
    counts = KeysSaved()
    counts.note("zsh", shown=3, taken=1, characters=1002, keys=2)
    counts.write()
    with live.repl() as screen:
        screen.type("ROMEO:\rIs")
        screen.wait_for(shows(" the day so young?↵")).type("\t")
        screen.wait_for(shows("BENVOLIO:↵")).type("\r/stats\r")
        screen.wait_for("keys saved  1,000 (zsh 1,000), in all").type(CTRL_D)
        assert screen.wait_for_exit() == 0
    (hosts,) = KeysSaved().read().values()
    assert hosts["prompt"] == Counts(shown=hosts["prompt"].shown, taken=1, characters=19, keys=1)
    assert hosts["prompt"].shown >= 2
