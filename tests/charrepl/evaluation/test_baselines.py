"""The baselines: held to prompt_toolkit itself, and to arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory

from charrepl.evaluation.baselines import ORDER, NGram, history_suggestions, without

lines = st.text("ab \n", max_size=60)


@given(lines, lines)
def test_the_history_suggests_what_prompt_toolkit_does(history, text):
    suggested = list(history_suggestions(history, text))
    for at in range(len(text)):
        typed, _, line = text[:at].rpartition("\n")
        known = history.splitlines() + (typed.split("\n") if "\n" in text[:at] else [])
        buffer = Buffer(history=InMemoryHistory(known))
        buffer.history.get_strings()
        for entry in known:
            buffer.history.append_string(entry)
        said = AutoSuggestFromHistory().get_suggestion(buffer, Document(line))
        assert suggested[at] == (said.text if said else "")


def test_the_ngram_knows_by_heart_what_it_read_over_and_over():
    corpus = "the kettle sings in my old pan\n" * 30
    ghost, log_probs = NGram(corpus).ghost("the kettle ")
    assert ghost == "sings in my old pan\n"
    assert len(log_probs) == len(ghost)
    assert math.exp(log_probs[0]) > 0.9


def test_the_ngram_backs_off_as_witten_and_bell_do():
    # "b" followed each of the two "a"; of what follows "x", nothing is known.
    ghost, log_probs = NGram("abab").ghost("x" * (ORDER - 1) + "a", max_chars=1)
    alone = 2 / (4 + 2)  # 2 of 4 characters, of 2 kinds
    after_a = 2 / (2 + 1) + 1 / (2 + 1) * alone
    assert ghost == "b"
    assert math.exp(log_probs[0]) == pytest.approx(after_a)


def test_the_ngram_cuts_where_its_joint_probability_falls_below():
    ngram = NGram("the kettle sings in the kitchen\nthe cook sleeps\n" * 9)
    whole, log_probs = ngram.ghost("the ")
    for least in (0.01, 0.3, 0.6, 0.99):
        cut, _ = ngram.ghost("the ", least=least)
        assert whole.startswith(cut)
        kept = sum(math.exp(math.fsum(log_probs[: n + 1])) >= least for n in range(len(whole)))
        assert len(cut) == kept


def test_a_blank_line_is_no_end_for_the_ngram():
    assert NGram("a\n\nb\n" * 9).ghost("a")[0] == "\n\nb\n"


def test_the_ngram_of_nothing_says_nothing():
    assert NGram("").ghost("abc") == ("", [])


def test_a_text_is_no_part_of_its_own_history():
    assert without("one two three", " two") == "one three"
    assert without("one", "two") == "one"
