"""The typist: what ghosts save, by the definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.evaluation.simulated_typist import Replay, Shown, at_coverage, replay

TEXT = "to be, or not to be:\nthat is the question\n"
texts = st.text("ab \n", min_size=1, max_size=80)


@st.composite
def texts_and_ghosts(draw: st.DrawFn) -> tuple[str, list[Shown]]:
    """A text, and for each position a ghost that is right, in part right, or anything."""
    text = draw(texts)
    ghosts = []
    for at in range(len(text)):
        right = text[at : at + draw(st.integers(0, 20))]
        wrong = draw(st.text("ab \n", max_size=4))
        ghosts.append(Shown(right + wrong, draw(st.floats(0, 1))))
    return text, ghosts


@given(texts)
def test_one_who_knows_the_text_saves_all_keys_but_one(text):
    done = replay(text, lambda at: Shown(text[at:], 1.0))
    assert done.keys == 1
    assert done.savings == 1 - 1 / len(text)
    assert (done.precision, done.shown_rate, done.calibration_error) == (1, 1, 0)


@given(st.integers(2, 9))
def test_right_ghosts_of_a_length_take_a_key_for_each_of_it(length):
    done = replay(TEXT, lambda at: Shown(TEXT[at : at + length], 1.0))
    assert done.keys == -(-len(TEXT) // length)


@given(texts, st.text("xy ", min_size=1))
def test_wrong_ghosts_save_nothing(text, wrong):
    done = replay(text, lambda at: Shown("z" + wrong, 0.0))
    assert (done.keys, done.savings, done.precision, done.shown_rate) == (len(text), 0, 0, 1)


@given(texts)
def test_without_ghosts_nothing_is_saved_or_shown(text):
    done = replay(text, lambda at: Shown())
    assert (done.savings, done.shown_rate, done.precision, done.calibration_error) == (0, 0, None, None)


@given(texts)
def test_a_ghost_of_one_character_saves_nothing(text):
    assert replay(text, lambda at: Shown(text[at])).keys == len(text)


@given(texts_and_ghosts())
def test_no_ghost_costs_a_key_and_every_key_and_saved_character_counts(text_and_ghosts):
    text, ghosts = text_and_ghosts
    done = replay(text, ghosts.__getitem__)
    assert 1 <= done.keys <= done.characters == len(text)
    assert done.keys + done.savings * done.characters == pytest.approx(done.characters)
    assert 0 <= done.shown <= done.keys
    assert done.shown >= done.right[0] >= done.right[1] >= done.right[2]
    assert sum(b.ghosts for b in done.bins) == done.shown
    assert 0 <= (done.calibration_error or 0) <= 1


@given(texts)
def test_a_ghost_past_the_end_is_not_what_comes_next(text):
    assert replay(text, lambda at: Shown(text[at:] + "z")).bins[0].right == 0


def test_where_the_whole_ghost_is_wrong_its_first_word_is_taken():
    ghosts = {0: Shown("to be or", 0.5), 3: Shown("be not", 0.5), 4: Shown("e, or not to be:\n", 0.5)}
    done = replay("to be, or not to be:\n", lambda at: ghosts.get(at, Shown()))
    # "to ", then "b" by hand as "be " is wrong, then the rest at once.
    assert done.keys == 3
    assert done.right == [2, 1, 1]
    assert done.precision == 2 / 3


def test_leading_space_belongs_to_the_first_word():
    done = replay(
        "be, or\n", lambda at: Shown(", and") if at == 2 else Shown("\n or") if at == 3 else Shown()
    )
    assert done.keys == len("be, or\n") - 1  # ", " is taken; a newline is not what comes next


def test_calibration_is_the_distance_between_confidence_and_being_right():
    right_at_every_other = replay("ab" * 50, lambda at: Shown("aba" if at % 4 == 0 else "x", 0.5))
    assert right_at_every_other.calibration_error == pytest.approx(
        abs(0.5 - right_at_every_other.bins[5].right / right_at_every_other.shown)
    )
    assert replay("abc", lambda at: Shown("x", 1.0)).calibration_error == 1
    assert replay("abc", lambda at: Shown("x", 0.0)).calibration_error == 0


def test_a_threshold_is_found_that_shows_as_often():
    text = "abcdefghij" * 20

    def replay_at(least: float) -> Replay:
        return replay(text, lambda at: Shown("?") if at % 10 >= least else Shown())

    for wanted in (0.0, 0.3, 0.7):
        assert at_coverage(replay_at, wanted, -1, 11).shown_rate == pytest.approx(wanted)
    assert at_coverage(replay_at, 1.0, 5, 11).shown_rate == pytest.approx(0.5)  # no lower than that
