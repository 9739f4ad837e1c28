"""Files that are written whole, or stay as they were."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.files import fsync, whole_file


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.toml"  # whose directory there is not yet
    for data in (b"one", b"two"):
        whole_file.write(path, data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    path = tmp_path / "settings.toml"
    if there:
        whole_file.write(path, b"one")

    def fail(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fsync, "to_disk", fail)
    with pytest.raises(CharreplError) as raised:
        whole_file.write(path, b"two")
    assert str(raised.value).startswith(f"could not write {path}: No space left on device")
    assert ("the one before it is untouched" in str(raised.value)) is there
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"one"] * there
