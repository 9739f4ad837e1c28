"""What HTTP does not tell: whose document a request is of."""

from __future__ import annotations

from charrepl.http_server.documents import Documents


def test_typing_on_and_deleting_are_the_same_document() -> None:
    documents = Documents()
    with documents.entered("one\ntwo") as first, documents.entered("one\ntwo th") as on:
        assert on == first
        with documents.entered("one\ntw") as back:
            assert back == first


def test_other_lines_are_other_documents() -> None:
    documents = Documents()
    with documents.entered("one\ntwo") as first:
        with documents.entered("one\nthree") as line, documents.entered("other\ntwo") as above:
            assert len({first, line, above}) == 3
        with documents.entered("else\n") as later:
            assert later == line  # its number is free again
