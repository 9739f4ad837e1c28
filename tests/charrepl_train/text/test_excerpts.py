"""Pieces of a text, to be measured: each character once, after what stands before it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charrepl_train.text.excerpts import CONTEXT, Excerpts, inside, with_context

Case = tuple[np.ndarray, list[tuple[int, int]]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A text whose ids are its places, and pieces of it."""
    ends = sorted(draw(st.sets(st.integers(0, 6_000), min_size=2, max_size=8)))
    pieces = list(zip(ends[::2], ends[1::2], strict=False))
    return np.arange(6_000, dtype=np.uint16), pieces


def excerpts(case: Case) -> Excerpts:
    text, pieces = case
    found = [text[start:stop] for start, stop in with_context(pieces)]
    return Excerpts(np.concatenate(found), pieces)


@given(cases())
def test_the_pieces_are_those_of_the_text(case: Case) -> None:
    text, pieces = case
    found = excerpts(case)
    assert len(found) == sum(stop - start for start, stop in pieces)
    for ids, (start, stop) in zip(found.pieces(), pieces, strict=True):
        np.testing.assert_array_equal(ids, text[start:stop])


@given(cases(), st.integers(1, 3_000), st.sampled_from([0, 3, 256, CONTEXT]))
def test_streams_give_every_character_weight_1_once(case: Case, most: int, warm: int) -> None:
    _, pieces = case
    streams = excerpts(case).streams(most, warm=warm)
    every = [place for piece in pieces for place in range(*piece) if place]
    real = streams.weights == 1
    assert streams.targets[real].tolist() == every
    assert set(np.unique(streams.weights)) <= {0, 1}
    assert streams.inputs.shape[1] <= most
    np.testing.assert_array_equal(streams.inputs[real], streams.targets[real] - 1)
    np.testing.assert_array_equal(real[:, 1:] & ~real[:, :-1], False)  # what pads a stream ends it


@given(cases(), st.integers(1, 3_000), st.sampled_from([0, 3, 256, CONTEXT]))
def test_streams_are_warmed_by_what_stands_before_them(case: Case, most: int, warm: int) -> None:
    streams = excerpts(case).streams(most, warm=warm)
    for before, warmed, inputs in zip(streams.before, streams.warmed, streams.inputs, strict=True):
        assert len(before) == warm
        if warmed:
            assert before.tolist() == list(range(inputs[0] - warm, inputs[0]))
        else:  # so much does not stand before it
            assert inputs[0] < warm


@given(cases(), st.integers(1, 400))
def test_windows_are_whole_and_within_their_pieces(case: Case, predictions: int) -> None:
    _, pieces = case
    rows = excerpts(case).windows(predictions)
    expected = [
        list(range(start + n, start + n + predictions + 1))
        for start, stop in pieces
        for n in range(0, stop - start - predictions, predictions)
    ]
    assert rows.shape == (len(expected), predictions + 1)
    assert rows.tolist() == expected


@given(cases(), st.lists(st.integers(1, 2_000), min_size=1, max_size=8))
def test_what_is_inside_is_the_same_however_the_text_is_cut(case: Case, lengths: list[int]) -> None:
    _, pieces = case
    at, found = 0, []
    for length in lengths:
        found += (at + np.flatnonzero(inside(pieces, at, length))).tolist()
        at += length
    assert found == [place for piece in pieces for place in range(*piece) if place < at]


def test_nothing_has_no_streams_and_no_windows() -> None:
    nothing = Excerpts.whole(np.zeros(0, np.uint8))
    assert len(nothing) == len(nothing.streams(100, warm=10).inputs) == len(nothing.windows(10)) == 0
