"""The ghost's state machine, without a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.ghost import KEPT_ANSWERS, LOW_WATER, Ghost, next_char, next_line, next_word, whole


def told(text: str, completion: str, *, final: bool = True) -> Ghost:
    """A ghost that asked about `text` and was answered."""
    return answer(Ghost().moved(text).ask(), completion, final=final)


def answer(ghost: Ghost, completion: str, *, final: bool = True) -> Ghost:
    return ghost.answered(ghost.seq, completion, (-0.5,) * len(completion), final=final)


def typed(ghost: Ghost, chars: str) -> Ghost:
    for char in chars:
        ghost = ghost.moved((ghost.text or "") + char)
    return ghost


def test_a_typed_character_that_matches_trims_the_ghost_without_a_request() -> None:
    ghost = told("RO", "MEO and the rest of a long line")
    for char, left in (("M", "EO and"), ("E", "O and"), ("O", " and")):
        ghost = typed(ghost, char)
        assert ghost.shown.startswith(left)
        assert not ghost.wanted


def test_backspace_restores_what_was_trimmed() -> None:
    ghost = typed(told("RO", "MEO and Juliet"), "ME").moved("RO")
    assert ghost.shown == "MEO and Juliet"
    assert not ghost.wanted


def test_a_mistyped_character_clears_the_ghost_and_backspace_brings_it_back_without_a_request() -> None:
    ghost = typed(told("RO", "MEO and Juliet"), "x")
    assert ghost.shown == ""
    assert ghost.wanted
    back = answer(ghost.ask(), "yz").moved("RO")
    assert back.shown == "MEO and Juliet"
    assert not back.wanted


def test_log_probabilities_are_those_of_the_characters_shown() -> None:
    ghost = Ghost().moved("R").ask()
    ghost = ghost.answered(ghost.seq, "OMEO", (-1.0, -2.0, -3.0, -4.0), final=True)
    assert typed(ghost, "OM").log_probs == (-3.0, -4.0)
    assert typed(ghost, "x").log_probs == ()


def test_a_late_answer_is_dropped() -> None:
    first = Ghost().moved("R").ask()
    second = first.moved("Rx").ask()
    assert second.answered(first.seq, "OMEO", (), final=True) == second


def test_a_stream_only_extends() -> None:
    ghost = answer(Ghost().moved("R").ask(), "OM", final=False)
    assert ghost.shown == "OM"
    ghost = answer(ghost, "XYZ", final=False)
    assert ghost.shown == "OM"
    ghost = answer(ghost, "OMEO", final=True)
    assert ghost.shown == "OMEO"


def test_typing_within_a_stream_waits_for_it_instead_of_asking_again() -> None:
    ghost = typed(answer(Ghost().moved("R").ask(), "OM", final=False), "OM")
    assert ghost.shown == ""
    assert not ghost.wanted
    assert answer(ghost, "OMEO").shown == "EO"
    assert typed(ghost, "x").wanted


def test_a_ghost_that_runs_low_is_lengthened_behind_the_rest_shown() -> None:
    ghost = told("", "a" * 30)
    ghost = ghost.moved("a" * (30 - LOW_WATER - 1))
    assert not ghost.wanted
    ghost = typed(ghost, "a")
    assert ghost.wanted
    asked = ghost.ask()
    assert asked.shown == "a" * LOW_WATER
    for so_far in (1, 4, LOW_WATER, 20):  # a longer answer streaming in never shortens what is shown
        asked = answer(asked, "a" * so_far, final=so_far == 20)
        assert len(asked.shown) == max(LOW_WATER, so_far)


def test_an_answer_that_stays_short_is_not_asked_for_at_each_key() -> None:
    ghost, requests = told("", "abcdefgh" * 2), 0
    for char in "abcdefgh" * 2:
        ghost = typed(ghost, char)
        if ghost.wanted and ghost.text is not None:
            requests += 1
            ghost = answer(ghost.ask(), ("abcdefgh" * 2)[len(ghost.text) :])
    assert requests <= 5


def test_a_ghost_that_ends_with_its_line_is_not_asked_for_again() -> None:
    ghost = told("", "a short line\n")
    for char in "a short line":
        ghost = typed(ghost, char)
        assert not ghost.wanted
    assert ghost.shown == "\n"
    assert typed(ghost, "\n").wanted


def test_typing_to_the_end_asks_once() -> None:
    ghost = typed(told("", "ab"), "ab")
    assert ghost.wanted
    assert not answer(ghost.ask(), "").wanted


def test_a_dismissed_ghost_stays_hidden_while_typing_within_it() -> None:
    ghost = typed(told("RO", "MEO and Juliet").dismiss(), "MEO")
    assert ghost.shown == ""
    assert not ghost.wanted


def test_a_change_outside_a_dismissed_ghost_ends_the_dismissal() -> None:
    ghost = typed(told("RO", "MEO").dismiss(), "x")
    assert ghost.wanted
    assert answer(ghost.ask(), "yz").shown == "yz"


def test_backspace_restores_the_dismissed_ghost() -> None:
    ghost = typed(told("RO", "MEO and Juliet"), "M").dismiss()
    assert ghost.shown == ""
    assert ghost.moved("RO").shown == "MEO and Juliet"


def test_a_cursor_that_leaves_and_returns_finds_the_ghost_again() -> None:
    ghost = told("RO", "MEO")
    away = ghost.moved(None)
    assert away.shown == ""
    assert not away.wanted
    assert away.moved("RO") == ghost


def test_nothing_is_known_after_the_model_changed() -> None:
    ghost = told("RO", "MEO").forget()
    assert ghost.shown == ""
    assert ghost.wanted


def test_a_request_that_failed_leaves_the_ghost_and_is_not_repeated() -> None:
    ghost = Ghost().moved("R").ask()
    ghost = answer(ghost, "OM", final=False).failed(ghost.seq)
    assert ghost.shown == "OM"
    assert not ghost.wanted
    assert typed(ghost, "x").wanted


def test_log_probabilities_of_another_length_are_not_used() -> None:
    ghost = Ghost().moved("R").ask()
    ghost = ghost.answered(ghost.seq, "OMEO", (-1.0,), final=True)
    assert ghost.shown == "OMEO"
    assert ghost.log_probs == ()


@pytest.mark.parametrize(
    ("part", "rest", "taken"),
    [
        (whole, "and so\non\n", "and so\non\n"),
        (next_word, "MEO and", "MEO "),
        (next_word, " and so", " and "),
        (next_word, "\nWhat say", "\nWhat "),
        (next_word, "end", "end"),
        (next_word, "end\n", "end\n"),
        (next_word, "  ", "  "),
        (next_line, "one\ntwo\n", "one\n"),
        (next_line, "\none\ntwo\n", "\none\n"),
        (next_line, "one", "one"),
        (next_char, "one", "o"),
        (next_char, "", ""),
    ],
)
def test_parts_of_a_ghost(part: object, rest: str, taken: str) -> None:
    assert callable(part)
    assert part(rest) == taken


@given(st.text(alphabet="ab \n", min_size=1))
def test_every_part_is_a_beginning_and_takes_something(rest: str) -> None:
    for part in (whole, next_word, next_line, next_char):
        assert part(rest)
        assert rest.startswith(part(rest))


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.text(alphabet="ab\n", min_size=1, max_size=3)),
        st.tuples(st.just("through"), st.integers(1, 4)),
        st.tuples(st.just("backspace"), st.integers(1, 4)),
        st.tuples(st.just("away"), st.none()),
        st.tuples(st.just("back"), st.none()),
        st.tuples(st.just("ask"), st.none()),
        st.tuples(st.just("answer"), st.tuples(st.text(alphabet="ab\n", max_size=5), st.booleans())),
        st.tuples(st.just("late"), st.text(alphabet="ab\n", max_size=5)),
        st.tuples(st.just("dismiss"), st.none()),
        st.tuples(st.just("fail"), st.none()),
        st.tuples(st.just("forget"), st.none()),
    ),
    max_size=60,
)


@given(EVENTS)
def test_a_shown_ghost_always_continues_exactly_the_text_before_the_cursor(
    events: list[tuple[str, object]],
) -> None:
    ghost, text, streamed = Ghost().moved(""), "", ""
    for kind, value in events:
        before = ghost
        if kind == "type":
            text += str(value)
        elif kind == "through":
            assert isinstance(value, int)
            text += before.shown[:value]
        elif kind == "backspace":
            assert isinstance(value, int)
            text = text[: max(0, len(text) - value)]
        if kind in ("type", "through", "backspace", "back"):
            ghost = ghost.moved(text)
        elif kind == "away":
            ghost = ghost.moved(None)
        elif kind == "ask":
            if ghost.wanted:
                ghost, streamed = ghost.ask(), ""
        elif kind == "answer":
            assert isinstance(value, tuple)
            streamed += value[0]
            ghost = answer(ghost, streamed, final=value[1])
        elif kind == "late":
            assert ghost.answered(ghost.seq - 1, str(value), (), final=True) == ghost
        elif kind == "dismiss":
            ghost = ghost.dismiss()
            assert ghost.shown == ""
        elif kind == "fail":
            ghost = ghost.failed(ghost.seq)
            assert ghost.shown == before.shown
        elif kind == "forget":
            ghost = ghost.forget()

        assert len(ghost.answers) <= KEPT_ANSWERS
        if ghost.shown:
            assert ghost.text == text
            # Some answer the model gave says that exactly this follows exactly this text.
            assert any(
                known.anchor + known.completion == text + ghost.shown and text.startswith(known.anchor)
                for known in ghost.answers
            )
            assert len(ghost.log_probs) == len(ghost.shown)
        if kind == "through" and before.shown and before.text == text[: len(before.text or "")]:
            assert ghost.shown.startswith(before.shown[len(text) - len(before.text or "") :])
        if kind == "answer" and before.text is not None and before.shown:
            # What is on the screen may be lengthened, or replaced by fresh news, but never blanked.
            assert ghost.shown
