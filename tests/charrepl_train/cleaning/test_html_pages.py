"""What is left of HTML: what a reader of the page sees."""

from __future__ import annotations

import pytest

from tests.charrepl_train.cleaning.cleaning import clean, counted

PAGE = """\
<!DOCTYPE html>
<html><head><title>Engines</title><style>p { x }</style></head>
<body class="a > b">
  <h1>Engines</h1>
  <p>It weaves
     <em>algebraic</em>&nbsp;patterns &amp; more.</p><!-- a note -->
  <ul><li>one<li>two</ul>
  <script>if (a < b) { document.write("</p>") }</script>
  <pre>as
  it is</pre>
</body></html>
"""


def test_the_lines_of_a_page_are_those_of_its_elements() -> None:
    assert clean(PAGE, "html") == ("Engines\nIt weaves algebraic patterns & more.\none\ntwo\nas\n  it is\n")
    counts = counted(PAGE, "html")
    assert counts["HTML comments"] == 1
    assert counts["HTML entities"] == 2
    assert counts["hidden elements (scripts, styles)"] == 2


def test_tags_within_a_text_leave_its_lines_as_they_are() -> None:
    assert clean("One <b>two</b>,\n  three.<br>\nFour<br/>five <i>six</i>\n", "html") == (
        "One two,\n  three.\nFour\nfive six\n"
    )
    assert clean("Then\n<script>x()</script>\n<style>y</style>now &lt;3\n", "html") == "Then\n\nnow <3\n"


@pytest.mark.parametrize("tag", ["script", "style"])
def test_a_sentence_on_a_tag_does_not_hide_what_follows(tag: str) -> None:
    text = f"Put the <{tag}> tag last.\n" + "A <b>line</b>.\n" * 20_000
    left = clean(text, "html")
    assert left.startswith(f"Put the <{tag}> tag last.\n")
    assert left.endswith("A line.\n" * 1_000)
    assert clean(f"An unclosed <{tag}> at the end", "html") == f"An unclosed <{tag}> at the end"
    assert counted(f"An unclosed <{tag}> at the end", "html") == {}


@pytest.mark.parametrize(
    "text",
    [
        "List<String> b = new Map<A, Bc>(); if (a < b && c > d) { x <- y }\n",
        "I </3 you <3, R&D, AT&T and <yours>\n",
        "One <b and\n\nno end\n",
        "  \n",
        "",
    ],
)
def test_what_only_looks_a_little_like_it_is_kept(text: str) -> None:
    assert clean(text, "html") == text
