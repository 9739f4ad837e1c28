"""The text that the server believes is the document's, whatever is edited, in each way to count."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.lsp.documents import Document, Place, Units

ENCODINGS = ["utf-8", "utf-16", "utf-32"]
# With what Python ends lines at and the protocol does not, and characters of every width.
CHARS = "ab \r\n\v\x1c\x85\u2028\u00e9\u4e2d\U0001f600\u0301"
texts = st.text(CHARS, max_size=12)


def width(text: str, encoding: str) -> int:
    return (
        len(text.encode({"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding)))
        // ({"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding])
    )


def position(text: str, at: int, encoding: str) -> tuple[int, int]:
    """Where an editor says the character `at` of its text is."""
    ends = [found.end() for found in re.finditer(r"\r\n|\r|\n", text) if found.end() <= at]
    return len(ends), width(text[ends[-1] if ends else 0 : at], encoding)


def places(text: str) -> list[int]:
    """Where an edit may begin or end: not between the two characters of one line's end."""
    return [at for at in range(len(text) + 1) if text[at - 1 : at + 1] != "\r\n" or not at]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data(), text=texts)
def test_after_any_edits_the_text_is_the_editors(encoding: str, data: st.DataObject, text: str) -> None:
    units, document = Units(encoding), Document(text)
    for _ in range(data.draw(st.integers(1, 6))):
        ends = st.sampled_from(places(text))
        start, end = sorted((data.draw(ends), data.draw(ends)))
        new = data.draw(texts)
        where = [document.place(*position(text, at, encoding), units) for at in (start, end)]
        document.replace(*where, new)
        text = text[:start] + new + text[end:]
        assert document.text == text
        assert document.rows == len(re.findall(r"\r\n|\r|\n", text)) + 1
        at = data.draw(st.sampled_from(places(text)))
        place = document.place(*position(text, at, encoding), units)
        newlines = re.compile(r"\r\n?")
        assert document.before(place) == newlines.sub("\n", text[:at])
        assert newlines.sub("\n", text[at:]).startswith(document.after(place))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(line=st.text("ab\u00e9\u4e2d\U0001f600"), units=st.integers(0, 60))
def test_units_and_characters_are_each_others_inverse(encoding: str, line: str, units: int) -> None:
    counted = Units(encoding)
    count = counted.characters(line, units)
    assert counted.count(line[:count]) <= units
    assert count == len(line) or counted.count(line[: count + 1]) > units
    assert counted.characters(line, counted.count(line)) == len(line)


def test_a_place_beyond_the_document_is_its_end_or_the_lines() -> None:
    document = Document("one\r\ntwo\n")
    assert document.place(0, 2**31 - 1, Units()) == Place(0, 3)
    assert document.place(2, 5, Units()) == Place(2, 0)
    assert document.place(2**31 - 1, 2**31 - 1, Units()) == Place(2, 0)
    document.replace(Place(2, 0), Place(0, 3), "")  # the wrong way round
    assert document.text == "one"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_half_a_character_is_a_mark_of_the_same_width(encoding: str) -> None:
    document = Document("a\ud83db")
    assert document.text == "a\ufffdb"
    document.replace(Place(0, 1), Place(0, 2), "\ude00")
    assert document.text == "a\ufffdb"
    units = {"utf-8": 3, "utf-16": 1, "utf-32": 1}[encoding]
    assert document.place(0, 1 + units, Units(encoding)) == Place(0, 2)


def test_what_follows_is_the_rest_of_the_line_and_a_few_more() -> None:
    document = Document("a b\r\n" + "x\r\n" * 100)
    assert document.after(Place(0, 1)) == " b\n" + "x\n" * 8
