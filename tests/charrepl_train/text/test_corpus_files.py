"""Which files are read of directories and patterns, and what is told of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl_train.text import corpus_files


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    for name in (
        "b.txt",
        "a.md",
        "drafts/c.txt",
        "sub/drafts/d.txt",
        "sub/e.txt",
        ".git/config",
        "z/.hidden",
    ):
        file = tmp_path / "notes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"This is {name}.")
    (tmp_path / "notes" / "empty.txt").touch()
    (tmp_path / "notes" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    return tmp_path / "notes"


def _names(found: corpus_files.CorpusFiles, notes: Path) -> list[str]:
    return [str(file.relative_to(notes)) for file in found.files]


def test_a_directory_is_read_in_the_order_of_names_and_says_what_is_left_out(notes: Path) -> None:
    found = corpus_files.found([notes])
    assert _names(found, notes) == ["a.md", "b.txt", "drafts/c.txt", "sub/e.txt", "sub/drafts/d.txt"]
    assert found.remark == (
        f"Read 5 files. Left out: 1 empty ({notes}/empty.txt), 1 not text ({notes}/picture.png), "
        f"2 hidden ({notes}/.git/config, ...)."
    )


def test_a_pattern_is_read_in_order_and_each_file_once(notes: Path) -> None:
    named = notes / "sub" / "e.txt"
    found = corpus_files.found([named, Path(f"{notes}/**/*.txt")], ["empty*"])
    assert found.files[0] == named
    assert _names(found, notes) == ["sub/e.txt", "b.txt", "drafts/c.txt", "sub/drafts/d.txt"]
    assert found.remark == f"Read 4 files. Left out: 1 excluded ({notes}/empty.txt)."


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.txt", ["a.md"]),
        ("drafts", ["a.md", "b.txt", "sub/e.txt"]),
        ("sub/drafts/*", ["a.md", "b.txt", "drafts/c.txt", "sub/e.txt"]),
        ("notes", ["a.md", "b.txt", "drafts/c.txt", "sub/e.txt", "sub/drafts/d.txt"]),
    ],
)
def test_what_is_excluded_is_matched_from_the_end_of_a_path(
    notes: Path, pattern: str, left: list[str]
) -> None:
    assert _names(corpus_files.found([notes], [pattern]), notes) == left


def test_a_file_that_is_named_is_read_whatever_it_is(notes: Path) -> None:
    files = [notes / "picture.png", notes / ".git" / "config", notes / "missing", Path("-")]
    assert corpus_files.found(files).files == tuple(files)


def test_nothing_to_read_is_an_error_that_says_what_was_there(notes: Path) -> None:
    with pytest.raises(CharreplError, match=r"^there is no text in .*z: left out: 1 hidden \(.*: name text"):
        corpus_files.found([notes / "z"])
    with pytest.raises(CharreplError, match=r"^nothing matches .*\*\.rst: check the pattern"):
        corpus_files.found([notes / "*.rst"])


def test_a_model_is_called_after_the_directory_that_is_looked_in(notes: Path) -> None:
    assert corpus_files.name(notes / "b.txt") == "b"
    assert corpus_files.name(notes) == "notes"
    assert corpus_files.name(notes / "sub" / "..") == "notes"
    assert corpus_files.name(notes / "**" / "*.txt") == "notes"
