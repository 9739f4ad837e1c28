"""Files of the writer's own: read as they are, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl import documents
from charrepl.completion import completed
from charrepl.errors import CharreplError


@given(st.binary(max_size=60))
def test_a_file_that_is_opened_and_saved_is_the_same_but_for_its_line_ends(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.txt"
    path.write_bytes(data)
    documents.write(path, documents.read(path))
    assert path.read_bytes() == data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


def test_saving_keeps_the_mode_and_the_link_and_leaves_nothing_beside(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    documents.write(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.txt", "real.txt"]  # noqa: PTH208


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(CharreplError, match="Is a directory; /save another file"):
        documents.write(tmp_path, "new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_too_long_to_type_at_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(documents.MOST_BYTES + 1)
    with pytest.raises(CharreplError, match="is longer than 8 MB"):
        documents.read(path)


@pytest.mark.parametrize(
    ("line", "result", "candidates"),
    [
        ("/sa", "/sa", ["/sample", "/save"]),
        ("/sam", "/sample ", []),
        ("/x", "/x", []),
        ("/model tin", "/model tiny", []),
        ("/voice  ", "/voice  ti", ["tidy", "tiny"]),
        ("/set ed", "/set editing_mode ", []),
        ("/set editing_mode ", "/set editing_mode ", ["emacs", "vi"]),
        ("/set model tid", "/set model tidy", []),
        ("/set temperature ", "/set temperature ", []),
        ("/open DIR/s", "/open DIR/some ", ["DIR/some one.txt", "DIR/some two.txt"]),
        ("/open DIR/some o", "/open DIR/some one.txt", []),
        ("/save DIR/f", "/save DIR/folder/", []),
        ("/save DIR/nowhere/", "/save DIR/nowhere/", []),
        ("/open DIR/.", "/open DIR/.hidden", []),
        ("/heat 1", "/heat 1", []),
    ],
)
def test_tab_goes_as_far_as_it_is_clear(
    tmp_path: Path, line: str, result: str, candidates: list[str]
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("some one.txt", "some two.txt", ".hidden"):
        (tmp_path / name).touch()
    found, several = completed(
        line.replace("DIR", str(tmp_path)), commands=["sample", "save", "open"], models=["tidy", "tiny"]
    )
    assert found == result.replace("DIR", str(tmp_path))
    assert several == [name.replace("DIR", str(tmp_path)) for name in candidates]
