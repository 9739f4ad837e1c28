"""Where the model begins to read a text that an editor has cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from charrepl.http_server.truncated_texts import anchored
from charrepl.wire.context_window import STRIDE
from tests.conftest import CORPUS

TEXT = CORPUS.read_text() * 6


@given(st.text(max_size=40), st.integers(1, 200))
def test_it_is_the_end_of_the_text_and_bounded(piece: str, times: int) -> None:
    text = piece * times
    found = anchored(text)
    assert text.endswith(found)
    assert len(found) == len(text) if len(text) < 2 * STRIDE else STRIDE <= len(found) < 2 * STRIDE


@given(st.integers(4000, len(TEXT)), st.integers(0, 1900))
def test_it_does_not_depend_on_where_the_editor_cut(end: int, cut: int) -> None:
    assert anchored(TEXT[:end]) == anchored(TEXT[cut:end])


def test_a_window_is_left_seldom() -> None:
    starts = [end - len(anchored(TEXT[max(0, end - 3000) : end])) for end in range(4000, len(TEXT))]
    changes = sum(one != other for one, other in itertools.pairwise(starts))
    assert changes <= len(starts) / 200  # a text that is cut by characters moves at each key
