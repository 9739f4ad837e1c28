"""Private places: what is trusted with what is typed, and how a place that is not is named."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.system import paths

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")


@pytest.fixture(params=["CHARREPL_DATA_DIR", "CHARREPL_RUNTIME_DIR"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path]:
    """The variable that moves a private directory, and the directory."""
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "data").mkdir()
    data = request.param == "CHARREPL_DATA_DIR"
    return request.param, paths.compilation_cache_dir() if data else paths.runtime_dir()


def a_symlink(path: Path) -> None:
    path.symlink_to(path.parent)


def a_dangling_symlink(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def a_file(path: Path) -> None:
    path.touch()


def open_to_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o750)


def anothers(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)


def test_a_private_directory_is_made_for_its_owner_only(place: tuple[str, Path]) -> None:
    _, path = place
    assert paths.private_dir(path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert paths.private_dir(path) == path
    paths.check_private(path)


def test_checking_makes_nothing(place: tuple[str, Path]) -> None:
    _, path = place
    paths.check_private(path)
    assert not path.exists()


@pytest.mark.parametrize("check", [paths.private_dir, paths.check_private])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_symlink, "is a symlink: remove it, or set {variable} to"),
        (a_dangling_symlink, "is a symlink: remove it, or set {variable} to"),
        (a_file, "is not a directory: remove it, or set {variable} to"),
        (open_to_others, "is open to other users: run chmod 700 {path}"),
        pytest.param(anothers, "belongs to user 65534, not to you: set {variable} to", marks=as_root),
    ],
)
def test_a_directory_that_others_can_enter_is_refused_by_the_variable_that_moves_it(
    place: tuple[str, Path], check: Callable[[Path], object], make: Callable[[Path], None], said: str
) -> None:
    variable, path = place
    make(path)
    with pytest.raises(CharreplError) as error:
        check(path)
    assert f"{path} {said.format(variable=variable, path=path)}" in str(error.value)


def test_a_directory_that_cannot_be_made_is_named(place: tuple[str, Path]) -> None:
    variable, path = place
    path.touch()
    with pytest.raises(CharreplError, match=f"cannot create .*: Not a directory: .*{variable}"):
        paths.private_dir(path / "deeper")
