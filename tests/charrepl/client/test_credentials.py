"""Keys in files: what is read back is what was written, and nothing else passes for a key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.client import credentials
from charrepl.errors import CharreplError
from charrepl.system import paths


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of keys, private and empty."""
    monkeypatch.setenv("CHARREPL_CONFIG_DIR", str(tmp_path))
    return paths.private_dir(paths.keys_dir())


@given(st.binary(min_size=32, max_size=32))
def test_a_key_survives_being_written_down(key: bytes) -> None:
    text = credentials.encoded(key)
    assert len(text) == 44
    assert credentials.decoded(text) == key


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_what_is_no_key_is_refused_in_one_line(text: str) -> None:
    try:
        assert credentials.encoded(credentials.decoded(text)) == text
    except CharreplError as error:
        assert "is not a key" in str(error)
        assert "\n" not in str(error)


def test_a_pair_is_read_back_whole() -> None:
    pair = credentials.generate()
    credentials.write_secret(credentials.secret_file(), pair)
    assert credentials.own() == pair


def test_a_secret_is_replaced_only_when_told_to(keys: Path) -> None:
    first, second = credentials.generate(), credentials.generate()
    credentials.write_secret(credentials.secret_file(), first)
    with pytest.raises(FileExistsError):
        credentials.write_secret(credentials.secret_file(), second)
    assert credentials.own() == first
    credentials.write_secret(credentials.secret_file(), second, replace=True)
    assert credentials.own() == second
    assert list(keys.iterdir()) == [credentials.secret_file()]


def test_a_key_that_cannot_be_written_leaves_nothing_behind(keys: Path) -> None:
    with pytest.raises(CharreplError, match="cannot write"):
        credentials.write(keys / "missing" / "x.key", "line", about="x")
    (keys / "taken").mkdir()
    with pytest.raises(CharreplError, match="cannot write"):
        credentials.write(keys / "taken", "line", about="x", replace=True)
    assert list(keys.iterdir()) == [keys / "taken"]


def test_a_fifo_in_the_place_of_a_key_holds_nobody_up() -> None:
    os.mkfifo(credentials.secret_file(), 0o600)
    with pytest.raises(CharreplError, match="is not a file"):
        credentials.own()


@pytest.mark.parametrize("endpoint", ["tcp://Host.example:7", "tcp://[::1]:7"])
def test_a_daemon_is_known_by_its_address_in_whatever_case(endpoint: str) -> None:
    paths.private_dir(credentials.trusted_dir())
    key = credentials.generate().public
    credentials.write(credentials.trusted_file(endpoint), credentials.encoded(key), about="a daemon's")
    assert credentials.trusted(endpoint.lower()) == key
    with pytest.raises(CharreplError, match="is not known") as unknown:
        credentials.trusted(endpoint + "1")
    assert unknown.value.code == "no_key"


@pytest.mark.parametrize(("line", "admin"), [("", False), (" admin", True), ("  admin  ", True)])
def test_a_word_after_a_key_makes_an_admin(keys: Path, line: str, admin: bool) -> None:
    key = credentials.generate().public
    credentials.write(keys / "x.key", credentials.encoded(key) + line, about="somebody")
    assert credentials.allowed(keys / "x.key") == (key, admin)


@pytest.mark.parametrize("line", ["", "admin", "KEY admins", "KEY admin admin", "KEY\nKEY", "KEY # admin"])
def test_a_line_that_is_not_understood_allows_nobody(keys: Path, line: str) -> None:
    key = credentials.encoded(credentials.generate().public)
    credentials.write(keys / "x.key", line.replace("KEY", key), about="somebody")
    with pytest.raises(CharreplError, match=r"run charrepl-daemon allow x KEY --force"):
        credentials.allowed(keys / "x.key")
