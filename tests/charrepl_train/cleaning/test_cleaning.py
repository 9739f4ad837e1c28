"""What all kinds of cleaning keep: text without their marks, wherever it is cut into pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train.cleaning.kinds import KINDS, cleaned
from charrepl_train.text.corpus import read
from tests.charrepl_train.cleaning.cleaning import clean

PLAIN = st.text(st.sampled_from("abcXYZ äß 12.,!?'()\n\n\t"), max_size=400)
MARKS = st.lists(
    st.sampled_from(
        [
            "From ada Mon Dec  1 10:00:00 2025\n",
            "From: Ada\nDate: today\n",
            "Subject: x\n",
            "Content-Type: text/html\n",
            "Ada wrote:\n",
            "> said\n",
            "-- \n",
            "\n",
            "one two\n",
            "<p class='a'>b</p>",
            "a < b & c &amp; d",
            "<script>x()</script>",
            "<!-- no -->",
            "```\n",
            "---\n",
            "a: 1\n",
            "[text](http://x.org)",
            "[x]: http://y.org\n",
            "12/03/24, 12:03 - Anna: hi\n",
            "[12-Mar-24 12:03] ben\n",
            "[12:03] <eve> hello\n",
            "{Attachments}\n",
            "=" * 30 + "\nGuild: x\n",
            "<Media omitted>",
        ]
    ),
    max_size=12,
).map("".join)


@given(PLAIN, st.sets(st.sampled_from(KINDS), min_size=1))
def test_text_without_marks_is_unchanged(text: str, kinds: set[str]) -> None:
    left_out: Counter[str] = Counter()
    assert "".join(cleaned([text], kinds, left_out)) == text
    assert not left_out.total()


@given(MARKS, st.lists(st.integers(1, 200)), st.sets(st.sampled_from(KINDS), min_size=1))
def test_what_is_left_out_does_not_depend_on_the_pieces(
    text: str, cuts: Sequence[int], kinds: set[str]
) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[start:stop] for start, stop in pairwise(places)]
    whole, parts = Counter[str](), Counter[str]()
    assert "".join(cleaned(pieces, kinds, parts)) == "".join(cleaned([text], kinds, whole))
    assert parts == whole


def test_each_kind_keeps_what_is_between_its_marks() -> None:
    mail = "From: Ada\nDate: Mon\n\n<p>We met on **Monday**,</p>\n> no\n"
    assert clean(mail, "mail", "html") == "We met on **Monday**,\n"


def test_a_page_that_shows_a_mail_is_read_before_the_mail_is() -> None:
    page = "<html><body><p>So it does.<br>&gt; It weaves.<br>Yes.</body></html>"
    assert clean(page, "mail", "html") == "So it does.\nYes.\n"


def test_files_are_cleaned_one_by_one_and_told_as_one_text(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.md", "b.md", "c.md")]
    for file, text in zip(
        files, ("---\nt: 1\n---\nOne", "```\nx\n```\n", "---\nt: 2\n---\n[Two](x)\n"), strict=True
    ):
        file.write_text(text)
    with read(files, near=tmp_path, clean=["markdown"]) as text:
        assert text.lengths == [4, 0, 4]
        assert text.cleaned == "Cleaned away: front matter (2), link targets (1), blocks of code (1)."
    with pytest.raises(
        CharreplError, match=r"^nothing is left of the text: Cleaned away: blocks of code \(1\)"
    ):
        read(files[1:2], near=tmp_path, clean=["markdown"]).__enter__()
    with read(files[1:2], near=tmp_path, clean=["chat"]) as text:
        assert text.cleaned == "Nothing was found to clean as chat."


def test_mail_may_be_in_any_encoding_but_other_text_may_not(tmp_path: Path) -> None:
    header = "From: Ada\nDate: Mon\nContent-Type: text/plain; charset=iso-8859-1\n\n"
    file = tmp_path / "box"
    file.write_bytes((header + "Überall Wörter.\n").encode("latin-1"))
    with read([file], near=tmp_path, clean=["mail"]) as text:
        assert text.characters == len("Überall Wörter.\n")
    with pytest.raises(CharreplError, match=r"box has mails that are not UTF-8: give --clean mail, which"):
        read([file], near=tmp_path).__enter__()
    file.write_bytes("Überall Wörter.\n".encode("latin-1"))
    with pytest.raises(
        CharreplError, match=r"box has text that is neither UTF-8 nor in a mail: give its --enc"
    ):
        read([file], near=tmp_path, clean=["mail"]).__enter__()
