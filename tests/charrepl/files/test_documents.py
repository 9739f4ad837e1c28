"""Files of the writer's own: which can be opened, and how Tab completes their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.commands.completion import completed
from charrepl.errors import CharreplError
from charrepl.files import documents


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
        ("/open 'DIR/some o", "/open DIR/some one.txt", []),
        ("/save DIR/some\\ t", "/save DIR/some two.txt", []),
        ("/open file://DIR/some%20o", "/open DIR/some one.txt", []),
        ("/open file://elsewhere/x", "/open file://elsewhere/x", []),
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


def test_what_is_no_file_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(CharreplError, match="is not a file: give a text file"):
            documents.read(tmp_path)
    assert len(list(Path("/dev/fd").iterdir())) == before
