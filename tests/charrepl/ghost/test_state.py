"""The ghost's state machine, without a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.ghost.state import KEPT_ANSWERS, LOW_WATER, Ghost, next_char, next_line, next_word, whole
from charrepl.text import graphemes
from tests.charrepl.grapheme_samples import clusters


def told(text: str, completion: str, *, final: bool = True) -> Ghost:
    """A ghost that asked about `text` and was answered."""
    return answer(Ghost().moved(text).ask(), completion, final=final)


def answer(
    ghost: Ghost, completion: str, *, final: bool = True, cuts: tuple[int, ...] | None = None
) -> Ghost:
    return ghost.answered(ghost.seq, completion, (-0.5,) * len(completion), final=final, cuts=cuts)


def cuts_of(completion: str, every: int, *, final: bool) -> tuple[int, ...] | None:
    """Cuts as a policy makes them: the first one only, while more is to come."""
    if not every:
        return None
    ends = tuple(range(every, len(completion) + 1, every))
    return ends if final else ends[:1]


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


def test_what_is_behind_a_cut_is_there_once_all_before_it_is_taken() -> None:
    line = "fool, and I will be a king of men"
    ghost = answer(Ghost().moved("a ").ask(), line, cuts=(4, 15))
    assert (ghost.shown, ghost.part) == ("fool", (1, 0))
    assert typed(ghost, "fo").shown == "ol"
    taken = ghost.moved("a fool")
    assert (taken.shown, taken.part, taken.wanted) == (", and I wil", (1, 1), True)
    assert not typed(taken.ask().failed(2), ", ").wanted  # once, behind what is shown
    assert len(taken.log_probs) == len(taken.shown)
    assert taken.moved("a ") == ghost
    assert ghost.moved("a " + line[:15]).shown == ""  # no more is worth showing
    assert ghost.moved("a " + line[:15]).wanted


def test_a_longer_answer_is_asked_for_behind_a_cut() -> None:
    ghost = answer(Ghost().moved("a ").ask(), "fool, and I", cuts=(4, 11)).moved("a fool")
    assert (ghost.shown, ghost.wanted) == (", and I", True)
    longer = answer(ghost.ask(), ", and I will be", cuts=(15,))
    assert (longer.shown, longer.wanted) == (", and I will be", False)


def test_only_the_first_part_of_a_stream_is_shown_before_it_is_whole() -> None:
    ghost = answer(Ghost().moved("a ").ask(), "fool, and", cuts=(4,), final=False).moved("a fool")
    assert (ghost.shown, ghost.wanted) == ("", False)
    assert answer(ghost, "fool, and I will", cuts=(4, 9)).shown == ", and"


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


def offered(ghost: Ghost, *ways: str, final: bool = True) -> Ghost:
    """A ghost that asked for alternatives, with some of them."""
    for rank, way in enumerate(ways):
        log_probs = (-0.5,) * len(way)
        last = final and rank == len(ways) - 1
        ghost = ghost.offered(ghost.seq, rank, way, log_probs, final=last)
    return ghost


def test_the_first_alternative_asked_for_is_the_one_after_the_ghost_shown() -> None:
    ghost = told("RO", "MEO").choose(1, count=4)
    assert (ghost.shown, ghost.place) == ("MEO", None)  # until there is another
    ghost = offered(ghost, "MEO", "SE", "BE", final=False)
    assert (ghost.shown, ghost.place) == ("SE", (2, 4))
    assert ghost.choose(-1, count=4).place == (1, 4)
    ghost = offered(ghost, "MEO and", "SE of", "BE")
    assert (ghost.shown, ghost.place) == ("SE of", (2, 3))  # there were no more than three
    around = ghost.choose(1, count=4).choose(1, count=4)
    assert (around.shown, around.place, around.seq) == ("MEO and", (1, 3), ghost.seq)


def test_with_no_ghost_shown_the_first_alternative_is_the_likeliest() -> None:
    for ghost in (told("RO", ""), told("RO", "MEO").dismiss()):
        assert offered(ghost.choose(1, count=4), "MEO", "SE").shown == "MEO"


def test_an_alternative_is_typed_through_and_asked_on_when_it_runs_low() -> None:
    ghost = offered(told("RO", "MEO").choose(1, count=2), "MEO", "SE of " + "a" * 30)
    ghost = typed(ghost, "SE")
    assert (ghost.shown, ghost.place, ghost.wanted) == (" of " + "a" * 30, None, False)
    ghost = typed(ghost, " of " + "a" * (30 - LOW_WATER))
    assert ghost.wanted
    assert answer(ghost.ask(), "a" * 20).shown == "a" * 20
    assert ghost.moved("RO").place == (2, 2)
    assert typed(ghost.moved("RO"), "M").shown == "EO"


def test_an_alternative_streams_and_a_late_one_is_dropped() -> None:
    first = told("RO", "MEO").choose(1, count=2)
    streaming = typed(offered(first, "MEO", "SE", final=False), "SE")
    assert not streaming.wanted
    assert offered(streaming, "MEO", "SE of", final=False).shown == " of"
    moved = typed(first, "x")
    assert moved.wanted
    assert moved.ask().offered(first.seq, 0, "MEO", (), final=True).shown == ""


def test_alternatives_that_failed_are_asked_for_again() -> None:
    first = told("RO", "MEO").choose(1, count=4)
    failed = first.failed(first.seq)
    assert failed.shown == "MEO"
    assert failed.choose(1, count=4).seq == first.seq + 1
    some = offered(first, "MEO", "SE", final=False).failed(first.seq)
    assert (some.place, some.choose(1, count=4).place) == ((2, 2), (1, 2))


@pytest.mark.parametrize(("nats", "sure"), [(-0.1, 6), (-0.01, 10), (-5.0, 0)])
def test_a_ghost_is_sure_as_far_as_all_of_it_is_likely(nats: float, sure: int) -> None:
    ghost = Ghost().moved("R").ask()
    assert ghost.answered(ghost.seq, "x" * 10, (nats,) * 10, final=True).sure == sure


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
        st.tuples(st.just("choose"), st.sampled_from([1, -1])),
        st.tuples(st.just("offer"), st.lists(st.text(alphabet="ab\n", max_size=5), min_size=1, max_size=3)),
        st.tuples(st.just("dismiss"), st.none()),
        st.tuples(st.just("fail"), st.none()),
        st.tuples(st.just("forget"), st.none()),
    ),
    max_size=60,
)


@given(EVENTS, st.sampled_from([0, 1, 3]))
def test_a_shown_ghost_always_continues_exactly_the_text_before_the_cursor(
    events: list[tuple[str, object]], every: int
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
            ghost = answer(ghost, streamed, final=value[1], cuts=cuts_of(streamed, every, final=value[1]))
        elif kind == "late":
            assert ghost.answered(ghost.seq - 1, str(value), (), final=True) == ghost
        elif kind == "choose":
            assert isinstance(value, int)
            ghost = ghost.choose(value, count=3)
        elif kind == "offer":
            assert isinstance(value, list)
            ghost = offered(ghost, *value, final=len(value) == 3)
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
                (known.anchor + known.completion).startswith(text + ghost.shown)
                and text.startswith(known.anchor)
                for known in (*ghost.answers, *(ghost.choice.answers if ghost.choice else ()))
            )
            assert len(ghost.log_probs) == len(ghost.shown)
            assert 0 <= ghost.sure <= len(ghost.shown)
        if ghost.place:
            assert 1 <= ghost.place[0] <= ghost.place[1] <= 3
        if kind == "through" and before.shown and before.text == text[: len(before.text or "")]:
            assert ghost.shown.startswith(before.shown[len(text) - len(before.text or "") :])
        if kind == "answer" and before.text is not None and before.shown:
            # What is on the screen may be lengthened, or replaced by fresh news, but never blanked.
            assert ghost.shown


# Letters stored in another way than the model writes them


def after(ghost: Ghost, *texts: str) -> list[str]:
    """What is shown after each text in turn."""
    shown = []
    for text in texts:
        ghost = ghost.moved(text)
        shown.append(ghost.shown)
    return shown


def test_a_ghost_is_typed_through_in_the_other_normal_form() -> None:
    composed = Ghost().moved("l'").ask().answered(1, "été est là", (), final=True)
    assert after(composed, "l'e\u0301", "l'e\u0301t", "l'e\u0301te\u0301 ") == [
        "té est là",
        "é est là",
        "est là",
    ]
    assert after(composed, "l'e\u0301te\u0301 est la\u0300", "l'e\u0301te\u0301 est la\u0301") == ["", ""]
    decomposed = Ghost().moved("l'").ask().answered(1, "e\u0301te\u0301 est", (), final=True)
    assert after(decomposed, "l'é", "l'été", "l'é") == ["te\u0301 est", " est", "te\u0301 est"]


def test_a_typeset_ghost_is_typed_through_with_what_keyboards_have() -> None:
    ghost = Ghost().moved("l").ask().answered(1, "’été «\u202fbon\u202f», n’est", (), final=True)
    shown = after(ghost, "l'", "l'e\u0301te\u0301 \" ", "l'été \"\u00a0bon \", n'", 'l"')
    assert shown == ["été «\u202fbon\u202f», n’est", "bon\u202f», n’est", "est", ""]
    straight = Ghost().moved("don").ask().answered(1, "'t go", (), final=True)
    assert after(straight, "don’", "don-", "don’t") == ["t go", "", " go"]


def test_an_accent_on_the_letter_before_the_ghost_leaves_it() -> None:
    ghost = Ghost().moved("caf").ask().answered(1, "e x", (), final=True)
    assert after(ghost, "cafe", "cafe\u0301", "cafe") == [" x", "", " x"]


def test_parts_and_probabilities_are_found_by_letter() -> None:
    log_probs = (-0.1, -0.2, -0.3, -0.4, -0.5, -0.6)
    ghost = Ghost().moved("l'").ask().answered(1, "été aa", log_probs, final=True, cuts=(4, 6))
    ghost = ghost.moved("l'e\u0301t")
    assert (ghost.shown, ghost.log_probs) == ("é ", (-0.3, -0.4))
    ghost = ghost.moved("l'e\u0301te\u0301 ")
    assert (ghost.shown, ghost.log_probs) == ("aa", (-0.5, -0.6))
    assert ghost.wanted  # the part after the first was asked for from further back
    assert not ghost.ask().answered(2, "", (), final=True).wanted


@given(clusters, st.data())
def test_whichever_way_a_ghost_is_typed_what_is_left_completes_it(
    parts: list[str], data: st.DataObject
) -> None:
    forms = st.sampled_from(["NFC", "NFD"])
    completion = unicodedata.normalize(data.draw(forms), "".join(parts))
    ghost = Ghost().moved("x").ask().answered(1, completion, (), final=True)
    pieces = graphemes.clusters(completion)
    for count in range(len(pieces) + 1):
        typed = "".join(unicodedata.normalize(data.draw(forms), piece) for piece in pieces[:count])
        assert ghost.moved("x" + typed).shown == "".join(pieces[count:])
