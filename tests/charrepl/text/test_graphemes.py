"""Grapheme clusters: where they begin and end, and that nothing takes one apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document

from charrepl.editing.grapheme_buffer import GraphemeBuffer
from charrepl.text import graphemes
from tests.charrepl.grapheme_samples import FAMILY, FLAG, HEART, THUMB, clusters, texts


def boundaries(text: str) -> set[int]:
    """Every place of a text that is inside of no cluster."""
    places = [0]
    for cluster in graphemes.clusters(text):
        places.append(places[-1] + len(cluster))
    return set(places)


def buffer_with(text: str, at: int | None = None) -> GraphemeBuffer:
    return GraphemeBuffer(document=Document(text, len(text) if at is None else at))


@given(texts, st.data())
def test_every_place_is_within_its_cluster(text: str, data: st.DataObject) -> None:
    places = boundaries(text)
    at = data.draw(st.integers(0, len(text)))
    assert graphemes.start(text, at) == max(place for place in places if place <= at)
    assert graphemes.end(text, at) == min(place for place in places if place >= at)
    assert graphemes.first(text) == text[: min(places - {0}, default=0)]
    assert graphemes.last_start(text) == max(places - {len(text)}, default=0)


@given(texts, st.integers(1, 5))
def test_a_text_is_cut_into_pieces_of_whole_clusters(text: str, most: int) -> None:
    places, at = boundaries(text), 0
    while at < len(text):
        end = graphemes.cut(text, at, most)
        assert at < end <= at + most
        if end not in places:
            assert graphemes.start(text, end) <= at  # one that is longer than a piece
        at = end


@given(texts, st.data())
def test_of_a_text_that_comes_in_no_part_of_a_cluster_is_seen(text: str, data: st.DataObject) -> None:
    now = graphemes.finished(text[: data.draw(st.integers(0, len(text)))])
    assert len(now) in boundaries(text) or (graphemes.end(text, len(now)) and now[-1] in " aeZ1字한é")


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, THUMB, HEART, "e\u0301", "한", "ที่", "क्षि"])
def test_backspace_delete_and_the_cursor_take_one_cluster(cluster: str) -> None:
    buffer = buffer_with("x" + cluster + cluster + "y")
    buffer.cursor_position += buffer.document.get_cursor_left_position(2)
    assert buffer.document.text_after_cursor == cluster + "y"
    buffer.cursor_position -= 1  # as vi does
    assert buffer.document.text_before_cursor == "x"
    buffer.cursor_position += 1
    assert buffer.document.text_before_cursor == "x" + cluster
    buffer.delete_before_cursor()
    assert (buffer.text, buffer.cursor_position) == ("x" + cluster + "y", 1)
    buffer.delete()
    assert (buffer.text, buffer.cursor_position) == ("xy", 1)


@given(clusters, st.lists(st.sampled_from(["left", "right", "rubout", "delete", "swap", "over"])))
def test_no_edit_takes_a_cluster_apart(parts: list[str], edits: list[str]) -> None:
    whole = list(graphemes.clusters("".join(parts)))
    buffer = buffer_with("".join(whole))
    at = len(whole)
    for edit in edits:
        if edit == "left":
            buffer.cursor_position += buffer.document.get_cursor_left_position()
            at = max(0, at - 1)
        elif edit == "right":
            buffer.cursor_position += buffer.document.get_cursor_right_position()
            at = min(len(whole), at + 1)
        elif edit == "rubout":
            buffer.delete_before_cursor()
            whole[max(0, at - 1) : at], at = [], max(0, at - 1)
        elif edit == "delete":
            buffer.delete()
            del whole[at : at + 1]
        elif edit == "swap":
            buffer.swap_characters_before_cursor()
            if at >= 2:
                whole[at - 2 : at] = [whole[at - 1], whole[at - 2]]
        else:
            buffer.insert_text("b", overwrite=True)
            whole[at : at + 1], at = ["b"], at + 1
        # Neighbours may join, two halves of flags for one: then the rest of this is about others.
        if graphemes.clusters("".join(whole)) != whole:
            return
        assert (buffer.text, buffer.cursor_position) == ("".join(whole), len("".join(whole[:at])))


def test_more_than_there_is_can_be_deleted() -> None:
    buffer = buffer_with("ab" + FAMILY)
    assert buffer.delete_before_cursor(99) == "ab" + FAMILY
    assert buffer.text == ""
    assert buffer.delete(3) == ""


@pytest.mark.parametrize("mode", ["NFC", "NFD"])
def test_letters_are_counted_alike_composed_and_decomposed(mode: str) -> None:
    assert graphemes.letters(unicodedata.normalize(mode, "où l'été")) == 8
