"""The first minutes: what is said at the start, and what newcomers type to leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.repl.greeting import greeting
from charrepl.settings.keymap import effective
from tests.charrepl.prompt import CTRL_C, CTRL_D, Bench
from tests.charrepl.repl.test_repl_autosave import kept


def test_the_greeting_says_three_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    keys = effective({"take": ("Ctrl-T",)})
    first = greeting(keys, preparing=True)
    assert first == "Ctrl-T takes the grey text · /help · the model is being prepared, about 5 s"
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled" / "ghosts.program").touch()
    assert greeting(keys, preparing=True).endswith("about 2 s")
    assert greeting(effective({"take": ()}), preparing=False) == "/help"


def test_the_first_screen_goes_with_the_first_key(live: Bench) -> None:
    with live.repl() as screen:
        screen.wait_for("\nTab takes the grey text · /help").type("x")
        screen.wait_for(lambda s: "grey text" not in s.text).type(CTRL_C + CTRL_D)
        assert screen.wait_for_exit() == 0
        assert screen.lines == []


def test_in_lines_it_is_said_until_something_was_entered_once(live: Bench) -> None:
    for said in (True, False):
        with live.start("--plain") as screen:
            screen.wait_for(lambda s: live.daemon.requests).type("hello\r/quit\r")
            screen.wait_for_exit()
            assert (
                "Tab says how the line may continue, and takes it; /help says the rest" in screen.text
            ) == said


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_a_word_by_which_people_leave_is_asked_about_once(live: Bench, options: tuple[str, ...]) -> None:
    with live.start(*options) as screen:
        screen.wait_for(lambda s: live.daemon.requests).type("quit\r")
        screen.wait_for("/quit or Ctrl-D ends the session; Enter again adds quit to the text")
        screen.wait_for(lambda s: kept(live) == {("", "quit")}).type("\r")
        screen.wait_for(lambda s: kept(live) == {("quit\n", "")}).type("exit\r")
        screen.wait_for(lambda s: kept(live) == {("quit\nexit\n", "")})
