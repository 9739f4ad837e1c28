"""What is said of markup before a text is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl_train.cleaning.markup import remark
from charrepl_train.text.corpus import read

PROSE = "It was a bright cold day in April, and the clocks were striking thirteen.\n" * 100
PAGE = '<div class="entry"><p>It was a <em>bright</em> day<br/>\n</p></div>\n' * 100
MESSAGE = """\
From: Ada <ada@example.org>
Subject: Re: engines
Date: Mon, 1 Dec 2025 10:00:00 +0000
Message-ID: <1@example.org>

Charles wrote:
> It weaves patterns.
> As looms do.

So it does.

"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PAGE + PROSE, "700 HTML tags, which ghosts will have too. Unless you want that, give --clean html."),
        ("\n" + MESSAGE * 50, "200 lines of mail headers and 100 quoted lines, which"),
        (
            PROSE + "> so he said\n" * 50,
            "50 quoted lines, which ghosts will have too. Unless you want that, give --clean mail.",
        ),
        (
            "\n" + (MESSAGE + PAGE) * 50,
            "35,000 HTML tags, 200 lines of mail headers and 100 quoted lines, which",
        ),
        (
            "\n" + "12/03/24, 12:03 - Anna: hi\n[12:04] <ben> hello\n" * 20,
            "40 time stamps, which ghosts will have too. Unless you want that, give --clean chat.",
        ),
    ],
    ids=["HTML", "mail", "quotations", "mail in HTML", "a chat"],
)
def test_markup_is_counted_and_named(text: str, said: str) -> None:
    assert remark([text.encode()]).startswith(f"The text has {said}")


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        PROSE + "<p>a</p>\n",
        "List<String> b = new Map<A, B>(); if (a < b && c > d) { x <- y }\n" * 99,
        "FROM:\nWhence?\n\nTo: whom?\n" * 99,
        PROSE + "> a quotation\n" * 5,
        "",
    ],
    ids=["prose", "a tag", "generics", "a play", "a quotation", "empty"],
)
def test_nothing_is_said_of_a_text_that_only_looks_a_little_like_it(text: str) -> None:
    assert remark([text.encode()]) == ""


def test_all_files_are_counted_as_one_text(tmp_path: Path) -> None:
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    for file in files:
        file.write_text(PAGE)
    with read(files, near=tmp_path) as text:
        assert text.markup().startswith("The text has 1,400 HTML tags, which")
