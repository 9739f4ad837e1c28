"""What is shown of a ghost."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from charrepl.ghost.display_policy import ASSERTIVENESS, Policy, best_cut, cuts, shown
from charrepl.text import graphemes
from tests.charrepl.grapheme_samples import FAMILY, FLAG

NORMAL = ASSERTIVENESS["normal"]
QUIETEST_FIRST = [ASSERTIVENESS[name] for name in ("quiet", "normal", "bold")]

policies = st.builds(Policy, precision=st.floats(0, 1), weight=st.floats(0, 10))
probabilities = st.floats(1e-9, 1)


@st.composite
def ghosts(draw: st.DrawFn) -> tuple[str, list[float]]:
    """A ghost and the log-probability of each of its characters."""
    parts = st.sampled_from([*"ab \n.", *"ab \n.", "e\u0301", FAMILY, FLAG, "字", "\u0301"])
    ghost = "".join(draw(st.lists(parts, max_size=40)))[:48]
    return ghost, [math.log(draw(probabilities)) for _ in ghost]


def sure(ghost: str, probability: float = 0.999) -> list[float]:
    return [math.log(probability)] * len(ghost)


def test_a_sure_ghost_is_shown_whole_and_a_hopeless_one_not_at_all():
    ghost = "to be or not"
    for policy in QUIETEST_FIRST:
        assert shown(ghost, sure(ghost), policy) == len(ghost)
        assert shown(ghost, [math.log(0.01), *sure(ghost[1:])], policy) == 0


def test_it_is_cut_where_the_model_stops_being_sure():
    log_probs = [*sure("my lord"), *[math.log(0.02)] * 4]
    assert shown("my lord, and", [*log_probs, 0.0], NORMAL) == len("my lord")


def test_one_character_saves_no_key():
    assert shown("x", [0.0], NORMAL) == 0


def test_without_log_probabilities_all_of_it_is_shown():
    assert shown("to be", (), NORMAL) == 5


def test_a_long_word_is_shown_at_odds_at_which_a_short_one_is_not():
    odds = [math.log(0.25)]
    assert shown("remembrance ", [*odds, *sure("emembrance ")], NORMAL) == 12
    assert shown("it ", [*odds, *sure("t ")], NORMAL) == 0


@given(ghosts(), policies)
def test_while_it_streams_in_what_is_shown_only_grows(ghost_and_log_probs, policy):
    ghost, log_probs = ghost_and_log_probs
    lengths = [shown(ghost[:n], log_probs[:n], policy) for n in range(1, len(ghost) + 1)]
    assert lengths == sorted(lengths)


def test_behind_a_cut_the_next_part_is_judged_as_if_all_before_it_were_typed():
    ghost = "fool, and so I will be a king of men in France"
    log_probs = [-0.1] * len(ghost)
    assert cuts(ghost, log_probs, NORMAL, final=True) == (16, 30, 43, 46)
    assert cuts(ghost, log_probs, NORMAL, final=False) == (16,)
    assert cuts(ghost, (), NORMAL, final=True) == (46,)
    doubtful = [*sure("fool"), *[math.log(0.02)] * 42]
    assert cuts(ghost, doubtful, NORMAL, final=True) == (4,)


@given(ghosts(), policies)
def test_each_part_is_what_would_be_shown_of_the_text_up_to_it(ghost_and_log_probs, policy):
    ghost, log_probs = ghost_and_log_probs
    ends = cuts(ghost, log_probs, policy, final=True)
    for start, end in zip((0, *ends), (*ends, 0), strict=True):
        length = shown(ghost[start:], log_probs[start:], policy)
        assert length == (end - start if end else 0)


@given(ghosts(), policies)
def test_a_cut_is_a_part_of_the_ghost_with_a_probability(ghost_and_log_probs, policy):
    ghost, log_probs = ghost_and_log_probs
    cut = best_cut(ghost, log_probs, policy)
    assert cut.length == 0 or 2 <= cut.length <= len(ghost)
    assert graphemes.start(ghost, cut.length) == cut.length
    assert 0 <= cut.probability <= 1


@given(ghosts())
def test_the_bolder_shows_a_ghost_wherever_the_quieter_does(ghost_and_log_probs):
    is_shown = [shown(*ghost_and_log_probs, policy) > 0 for policy in QUIETEST_FIRST]
    assert is_shown == sorted(is_shown)
