"""Whatever is typed at the prompt, in whatever order: the text is exactly that."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrepl.draft import as_typed, literal
from tests.charrepl.prompt import BACKSPACE, CTRL_C, CTRL_D, LEFT, Bench
from tests.charrepl.scripted_daemon import answer
from tests.charrepl.test_repl_autosave import kept

KEYS = st.lists(
    st.one_of(
        st.text(alphabet="ab /é日🙂אم", min_size=1, max_size=8),
        st.sampled_from(["backspace", "left", "enter", "enter", "clear", "undo"]),
    ),
    max_size=25,
)


class Paper:
    """What a text ought to be."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line, self.cursor = "", 0

    def key(self, key: str) -> str:
        """What to send for a key, having done it here."""
        line, cursor = self.line, self.cursor
        if key == "backspace":
            self.line, self.cursor = line[: max(0, cursor - 1)] + line[cursor:], max(0, cursor - 1)
            return BACKSPACE
        if key == "left":
            self.cursor = max(0, cursor - 1)
            return LEFT
        text = literal(line)
        if key == "enter" and text is not None:
            self.lines.append(text)
            self.line, self.cursor = "", 0
            return "\r"
        if key in ("enter", "clear"):  # a command is not carried out
            self.line, self.cursor = "", 0
            return CTRL_C if line else ""
        if key == "undo":
            self.line = as_typed(self.lines.pop()) if self.lines else ""
            self.cursor = len(self.line)
            return (CTRL_C if line else "") + "/undo\r"
        self.line, self.cursor = line[:cursor] + key + line[cursor:], cursor + len(key)
        return key

    @property
    def state(self) -> tuple[str, str]:
        return "".join(line + "\n" for line in self.lines), self.line


def test_no_key_is_lost_or_altered(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, "")])  # Right and Tab have nothing to take
    paper = Paper()
    paper.key("a text to begin with")
    with live.repl() as screen:
        screen.type("a text to begin with")

        @given(KEYS)
        @settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
        def type_and_look(keys: list[str]) -> None:
            screen.type("".join(paper.key(key) for key in keys))
            screen.wait_for(lambda s: kept(live) == {paper.state})

        type_and_look()
        screen.type(paper.key("clear") + CTRL_D)
        assert screen.wait_for_exit() == 0
