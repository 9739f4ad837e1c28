"""Whatever is typed at the prompt, in whatever order: the text is that, and the ghost goes on from it."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from charrepl.commands.slash_lines import as_typed, literal
from tests.charrepl.prompt import (
    BACKSPACE,
    CTRL_C,
    CTRL_D,
    CTRL_E,
    ESC,
    LEFT,
    SHIFT_RIGHT,
    UNDO,
    Bench,
    shows,
)
from tests.charrepl.repl.test_repl_autosave import kept
from tests.charrepl.screen import Screen
from tests.charrepl.scripted_daemon import answer

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


ORDER = "abcdefgh "


def following(text: str, count: int = 12) -> str:
    """What the model here thinks comes next: the order goes on from the last character."""
    start = ORDER.find(text[-1:] or "\n") + 1
    return "".join(ORDER[(start + i) % len(ORDER)] for i in range(count)).rstrip()


def continues(screen: Screen) -> None:
    """What is grey goes on from what is before the cursor, and from nothing else."""
    if not "".join(screen.lines[screen.cursor[1] :][:1]).startswith(">"):
        return  # what was read ends within a frame, while the toolbar was being drawn
    expected = following(screen.before_cursor, 60)
    assert expected.startswith(screen.ghost), f"{screen.before_cursor!r} and then {screen.ghost!r}"


WITH_GHOSTS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.text("abh x日", min_size=1, max_size=4)),
        st.tuples(st.just("through"), st.integers(1, 14)),
        st.tuples(st.just("backspace"), st.integers(1, 9)),
        st.tuples(st.just("inside"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["take", "take and undo"]), st.sampled_from(["\t", "\x1bf", SHIFT_RIGHT])),
        st.tuples(st.just("dismiss"), st.none()),
        st.tuples(st.just("enter"), st.none()),
    ),
    max_size=12,
)


class Typist:
    """Types and takes, and knows what the text must be."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.text, self.line = "", ""

    def do(self, what: str, how: object) -> None:
        screen, line = self.screen, self.line
        if what == "type":
            self.put(str(how))
        elif what == "through":
            assert isinstance(how, int)
            self.put(following(line, how))
        elif what == "backspace":
            assert isinstance(how, int)
            count = min(how, len(line))
            screen.type(BACKSPACE * count)
            self.line = line[: len(line) - count]
        elif what == "inside":
            assert isinstance(how, int)
            at = max(0, len(line) - how)
            new = "y" if line.endswith("x") else "x"  # so that it is seen to come
            screen.type(LEFT * (len(line) - at) + new)
            screen.wait_for(lambda s: s.before_cursor == line[:at] + new)
            assert screen.ghost == "" or at == len(line)
            screen.type(CTRL_E * (at < len(line)))
            self.line = line[:at] + new + line[at:]
        elif what.startswith("take"):
            assert isinstance(how, str)
            screen.wait_for(lambda s: s.ghost).type(how)
            screen.wait_for(lambda s: len(s.before_cursor) > len(line))
            taken = screen.before_cursor.removeprefix(line)
            assert following(line, 60).startswith(taken)  # more than was seen, if more had come
            self.line = line + taken
            if what == "take and undo":
                screen.type(UNDO)
                self.line = line
        elif what == "dismiss":
            screen.wait_for(lambda s: s.ghost).type(ESC)
            screen.wait_for(shows(""))
            self.put("x")
        elif line:
            screen.type("\r")
            self.text, self.line = self.text + line + "\n", ""
        if len(self.line) > 100:
            screen.type(CTRL_C)
            self.line = ""
        screen.wait_for(lambda s: s.before_cursor == self.line)

    def put(self, text: str) -> None:
        self.screen.type(text)
        self.line += text


def test_the_ghost_always_continues_what_is_before_the_cursor(live: Bench) -> None:
    live.daemon.script = lambda request: iter([answer(request, following(request.text), nats=-0.001)])
    with live.repl(columns=160) as screen:
        typist = Typist(screen)

        @given(WITH_GHOSTS)
        # What is found at one prompt cannot be found again at the same: nothing to shrink.
        @settings(
            max_examples=10,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow],
        )
        def type_and_look(events: list[tuple[str, object]]) -> None:
            with screen.watched(continues):
                for what, how in events:
                    typist.do(what, how)
                screen.wait_for(lambda s: s.ghost)

        type_and_look()
        screen.wait_for(lambda s: kept(live) == {(typist.text, typist.line)})
