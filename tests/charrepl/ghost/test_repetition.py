"""Where a ghost ends so that it does not go in circles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.ghost.repetition import ENOUGH, FARTHEST, straight


@pytest.mark.parametrize(
    ("before", "ghost", "shown"),
    [
        ("If it ple", "nt the streets of the streets of the streets of", "nt the streets of "),
        ("If it please the streets of ", "the streets of the", ""),  # its first copy was taken
        ("", "the the the", "the "),
        ("I ", "will not be the man that I will not be the man t", "will not be the man that "),
        ("", "of the state and that of the state and", "of the state and that "),
        ("Oh ", "no, no, no", "no, "),
        ("", "haahahahahahahahahahahahaha", "haahahahahahahah"),
        ("", "eeeeeeeeeeeeeeeeeeeeeeee", "eeeeeeeeeeeee"),
        ("", "的人的人的人", "的人"),
        ("", "ｶﾀｶﾅｶﾀｶﾅ", "ｶﾀｶﾅ"),
        ("", "བོད་བོད་བོད་", "བོད་"),
        ("", "die Straße, die Straße, die", "die Straße, "),
        ("", "1, 2, 1, 2, 1, 2", "1, 2, "),
        ("What", "?!?!?!", "?!?!"),
        ("", "} } }", "} } "),
        ("", "😀😀😀😀", "😀😀😀"),
        ("", "......", "..."),
        ("", "- - - -", "- - "),
        ("", "🇩🇪🇩🇪🇩🇪🇩🇪", "🇩🇪🇩🇪"),
        ("", "_________", "___"),
        ("", "    }\n    }\n    }\n", "    }\n    }\n    }"),
        ("", "। । । ।", "। । "),
        ("And so ....", "....", ""),  # the writer has as many as there may be
        ("What?!?!?", "!?!?!", "!"),  # and may end the copy begun
        ("A\n----\nB\n--", "----------", "--"),  # as long as the one above
        ("." * 200, "......", ""),
    ],
)
def test_a_ghost_ends_before_it_repeats_itself(before, ghost, shown):
    found = straight(before, ghost)
    assert (ghost[: found.length], found.ended) == (shown, True)


@pytest.mark.parametrize(
    ("before", "ghost"),
    [
        ("To be, or not to ", "be, that is the question"),
        ("the streets of ", "Rome, the streets we know"),  # it turns elsewhere
        ("CORNWALL:\nCunning.\n\nREGAN:\nAnd false.\n\n", "CORNWALL:\n"),  # a name comes back
        ("", "will all fall still"),
        ("", "ha ha!"),
        ("A\n" + "-" * 40 + "\n" + "and more " * 99 + "\nB\n", "-" * 40 + "\n"),
        ("A\n* * * * *\nB\n*", " * * * *\n"),
        ("", "and yet... but--- no!!!"),
        ("if x:\n", " " * 40 + "y\n" + "\t" * 8 + "z"),
        ("    {\n        {\n", "        }\n    }\n}\n"),
        ("", '"What?" "No!" (({}))'),
        ("| a | b |\n|", " --- | --- |\n"),
    ],
)
def test_a_turn_of_speech_is_no_circle(before, ghost):
    assert straight(before, ghost).length == len(ghost)


@pytest.mark.parametrize(
    ("before", "ghost", "shown"),
    [
        ("Tomorrow, and tomorrow, and tom", "orrow, and tomorrow, and", "orrow, "),
        ("never, never, n", "ever, never, never", "ever, "),
        ("ha ha h", "a ha ha ha", "a "),
    ],
)
def test_a_copy_that_the_writer_began_is_ended_and_no_other_begun(before, ghost, shown):
    found = straight(before, ghost)
    assert (ghost[: found.length], found.ended) == (shown, True)


words = st.lists(st.sampled_from(["a", "be", "the", "of", "king", "Rome", ",", ".", "的", "\n"]), max_size=14)
signs = st.lists(st.sampled_from(["-", "?!", " ", ".", "a", "\n"]), max_size=20)
texts = words.map(" ".join) | signs.map("".join)


@given(texts, texts)
def test_what_is_shown_of_a_beginning_is_never_taken_back(before, ghost):
    seen = 0
    for length in range(len(ghost) + 1):
        found = straight(before, ghost[:length])
        assert seen <= found.told <= found.length <= length
        seen = found.told
        if found.ended:
            assert straight(before, ghost)[::2] == (found.length, True)
            return


@given(texts, texts, st.integers(0, 60))
def test_a_ghost_that_was_typed_into_ends_no_earlier(before, ghost, typed):
    shown = straight(before, ghost).length
    typed = min(typed, shown)
    assert typed + straight(before + ghost[:typed], ghost[typed:]).length >= shown


@given(texts, texts, st.integers(2, FARTHEST))
def test_no_words_stand_twice_in_a_row_in_what_is_shown(before, ghost, period):
    shown = ghost[: straight(before, ghost).length]
    for at in range(period, len(shown) - period + 1):
        copy = shown[at : at + period]
        before_each = (" " + before + shown)[len(before) + at - period], shown[at - 1]
        begins_words = copy[0].isalnum() and not any(char.isalnum() for char in before_each)
        assert not (copy == shown[at - period : at] and begins_words), (shown, copy)


@given(texts, st.integers(ENOUGH, 40))
def test_a_ghost_that_repeats_what_it_said_ends(before, length):
    turn = "over the hills and far away they went on the road"[:length].strip() + " "
    assert straight(before + "\n\nAnd so ", "x " + turn + turn).length <= 2 + len(turn)


@pytest.mark.parametrize(
    "before", ["hahahahahahaha, he said ", "0000000000000000\nand then ", "hahahahahahaha"]
)
def test_syllables_that_the_writer_repeated_end_no_ghost_that_does_not(before):
    assert straight(before, " that he would go") == (17, 17, False)
