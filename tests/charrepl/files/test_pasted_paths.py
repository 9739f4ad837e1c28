"""Paths as terminals and shells paste them, and as people type them."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl.files import pasted_paths


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pasted")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("DRAFTS", str(folder / "drafts"))
        yield folder


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("my notes.txt", "my notes.txt"),
        ("'my notes.txt'", "my notes.txt"),
        ('"my notes.txt"', "my notes.txt"),
        (r"my\ notes.txt", "my notes.txt"),
        ("'my notes.txt' ", "my notes.txt"),
        (r"'it'\''s here.txt'", "it's here.txt"),
        (r"a\ \(1\)\&\$x.txt", "a (1)&$x.txt"),
        (r'"say \"so\" \\ $x"', r'say "so" \ $x'),
        ("a/'b c'/\"d e\"", "a/b c/d e"),
        ("file://FOLDER/my%20notes.txt", "my notes.txt"),
        ("file:FOLDER/my%20notes.txt", "my notes.txt"),
        ("FILE://localhostFOLDER/100%25%20%C3%A9.txt", "100% é.txt"),
        (f"file://{socket.gethostname()}FOLDER/x%23%3Fy", "x#?y"),
        ("file://FOLDER/caf%E9", os.fsdecode(b"caf\xe9")),
        ("~/x y", "home/x y"),
        ("$HOME/x", "home/x"),
        ("${DRAFTS}/x", "drafts/x"),
        ("'~/x y'", "home/x y"),
        # As `ls` and `printf %q` write a name.
        (r"'one'$'\n''two'", "one\ntwo"),
        (r"$'it\'s \u00e9, \303\251 \xc3\xa9\t'", "it's é, é é\t"),
        # As it comes from a letter, a page or a file manager.
        ("“my notes.txt”", "my notes.txt"),
        ("« my notes.txt »", "my notes.txt"),
        ("\u202a/x/notes.txt\u202c\r\n", "/x/notes.txt"),
        ("<file://FOLDER/my%20notes.txt>", "my notes.txt"),
        # What no shell has touched.
        ("O'Brien's notes.txt", "O'Brien's notes.txt"),
        ("'tis the season.txt", "'tis the season.txt"),
        (r"C:\dir\x.txt", r"C:\dir\x.txt"),
        ("100%.txt", "100%.txt"),
        ("$5 in cents", "$5 in cents"),
        ("$NOTHING/x", "$NOTHING/x"),
        ("trailing\\", "trailing\\"),
        ('12" pizza', '12" pizza'),
    ],
)
def test_a_path_is_what_was_meant(folder: Path, typed: str, name: str) -> None:
    assert pasted_paths.meant(typed.replace("FOLDER", str(folder))) == folder / name


def test_a_name_that_looks_as_one_that_is_there_is_that_one(folder: Path) -> None:
    kept = folder / "shot 9.41\u202fcafe\u0301"
    kept.touch()
    for typed in ("shot 9.41 café", "shot\xa09.41\xa0cafe\u0301"):
        assert pasted_paths.meant(typed) == kept
    (folder / "shot 9.41 café").touch()
    assert pasted_paths.meant("shot 9.41 café").name == "shot 9.41 café"
    assert pasted_paths.meant("shot\xa09.41 café").name == "shot\xa09.41 café"  # which one, nobody can tell


@pytest.mark.parametrize("name", ["'q'", '"q"', r"a\ b", "~", "$HOME", "file:", "'", "x ", "a'b'c"])
def test_a_name_that_is_there_as_it_was_typed_is_meant(folder: Path, name: str) -> None:
    (folder / name).touch()
    try:
        assert pasted_paths.meant(name) == folder / name
    finally:
        (folder / name).unlink()


@given(
    name=st.text(
        st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=20
    )
)
def test_a_name_in_the_quotes_of_a_shell_and_in_a_uri_is_that_name(folder: Path, name: str) -> None:
    if name in (".", ".."):
        return
    assert pasted_paths.meant(shlex.quote(f"{folder}/{name}")) == folder / name
    assert pasted_paths.meant((folder / name).as_uri()) == folder / name


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("file://elsewhere/x", "is on another machine"),
        ("a\0b", "no NUL character"),
        ("file:///tmp/a%00b", "no NUL character"),
        ("none/", "there is no directory"),
    ],
)
def test_what_can_be_no_file_is_said(typed: str, says: str) -> None:
    with pytest.raises(CharreplError, match=says):
        pasted_paths.meant(typed)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("'my n", "my n"),
        ('"my n', "my n"),
        (r"my\ n", "my n"),
        ("a/'b c", "a/b c"),
        ("'my' n", "my n"),
        ("x ", "x "),
    ],
)
def test_the_beginning_of_a_path_is_plain_though_its_quote_is_open(typed: str, plain: str) -> None:
    assert pasted_paths.begun(typed) == plain
