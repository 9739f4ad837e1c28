"""What is said of a text's end before it is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl_train.text.corpus import read
from charrepl_train.text.trailing_boilerplate import End, unlike

FREQUENT = "the of and to in that was his he it with is for as had you not be her on at by which have or"
WORDS = FREQUENT.split()
PROSE = "".join(
    f"{WORDS[n % 25]} {WORDS[n * 7 % 24]} {WORDS[n * n % 23]}{'.' if n % 5 else '. Then'}\n"
    for n in range(4000)
)
LICENCE = """\
*** END OF THE PROJECT GUTENBERG EBOOK ***
Updated editions will replace the previous one. To protect the concept, the terms of this agreement hold.
Project Gutenberg-tm License: copyright laws in most countries are in a constant state of change.
"""
ENDS = {
    "another language": "Все счастливые семьи похожи друг на друга, каждая несчастлива по-своему.\n" * 60,
    "an index": "".join(f"Xylographers, {n}, {n * 7 % 97}-{n * 7 % 97 + 3}\n" for n in range(400)),
}


def end(text: str) -> End | None:
    data = text.encode()
    return unlike(lambda at, size: data[at : at + size], len(data))


@pytest.mark.parametrize("before", [PROSE, PROSE[:3000] + "\n", "короткий текст\n" * 20])
def test_a_licence_is_named_with_where_it_begins(before: str) -> None:
    found = end(before + LICENCE)
    assert found == End(LICENCE, licence=True)
    said = "characters, from “*** END OF THE PROJECT GUTENBERG” on, look like a licence. "
    assert str(found).startswith(f"The last {len(LICENCE)} {said}")


@pytest.mark.parametrize("what", sorted(ENDS))
def test_an_end_that_is_unlike_the_rest_is_told(what: str) -> None:
    found = end(PROSE + ENDS[what])
    assert found is not None
    assert not found.licence
    assert len(ENDS[what]) * 0.7 < len(found.text) < len(ENDS[what]) * 1.4
    assert "are unlike the rest" in str(found)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        PROSE[:500],
        "",
        PROSE + "He had no licence. All rights reserved, said she.\n" + PROSE[:200],
        ENDS["an index"] + PROSE,  # at the beginning
        (PROSE[:9000] + ENDS["an index"]) * 6,  # all over
    ],
    ids=["prose", "short", "empty", "a mention", "elsewhere", "of many kinds"],
)
def test_nothing_is_said_of_a_text_that_ends_as_it_goes_on(text: str) -> None:
    assert end(text) is None


def test_a_text_kept_on_the_disk_has_an_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charrepl_train.text.corpus._IN_MEMORY", 1)
    corpus = tmp_path / "book.txt"
    corpus.write_text(PROSE + LICENCE)
    with read([corpus], near=tmp_path) as text:
        assert text.strange_ends([corpus]) == str(End(LICENCE, licence=True))


def test_the_end_of_each_file_is_looked_at(tmp_path: Path) -> None:
    texts = {"a.txt": PROSE, "b.txt": PROSE + LICENCE, "c.txt": PROSE + ENDS["an index"], "d.txt": PROSE}
    files = [tmp_path / name for name in texts]
    for file, text in zip(files, texts.values(), strict=True):
        file.write_text(text.rstrip())
    with read(files, near=tmp_path) as whole:
        said = whole.strange_ends(files)
    assert said.startswith(f"The last {len(LICENCE)} characters of {files[1]}, from “*** END OF")
    assert said.endswith(f" See also the end of {files[2]}.")


def test_a_licence_at_the_end_of_one_of_many_short_files_is_told(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.txt" for number in range(30)]
    for number, file in enumerate(files):
        file.write_text(PROSE[:900] + "\n" + (LICENCE if number == 7 else ""))
    with read(files, near=tmp_path) as whole:
        assert f" of {files[7]}, from “*** END OF" in whole.strange_ends(files)
