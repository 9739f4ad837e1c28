"""The key, and requests that no web page made."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.cli import serve_command
from charrepl.errors import CharreplError
from charrepl.http_server import access, setup_texts
from charrepl.http_server.access import Access, Refusal

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARREPL_CONFIG_DIR", str(tmp_path))
    return tmp_path


def admitted(*, key: str | None = KEY, path: str = "/infill", **headers: str) -> str | Refusal:
    usual = {"host": "127.0.0.1:8012", "authorization": f"Bearer {KEY}"}
    sent = [(name.encode(), value.encode("latin-1")) for name, value in {**usual, **headers}.items()]
    return Access(key).admitted(path, sent)


@pytest.mark.parametrize("host", ["127.0.0.1:8012", "localhost:8012", "LOCALHOST", "[::1]:8012", "[::1]"])
def test_a_loopback_name_is_answered(host: str) -> None:
    assert admitted(host=host) == "openai"


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8012", "127.0.0.1.evil.example", "localhost.", "::1", "0.0.0.0"],
)
def test_another_host_is_refused(host: str) -> None:
    refused = admitted(host=host)
    assert isinstance(refused, Refusal) and refused.status == 403


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:8012", "https://evil.example", ""])
def test_any_origin_is_refused(origin: str) -> None:
    for path in ("/infill", "/health"):
        refused = admitted(path=path, origin=origin)
        assert isinstance(refused, Refusal) and refused.status == 403


@pytest.mark.parametrize(
    "shown", ["", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}0", "Bearer ä", "Bearer .vim"]
)
def test_without_the_key_nothing_is_answered_but_health(shown: str) -> None:
    refused = admitted(authorization=shown)
    assert isinstance(refused, Refusal) and refused.status == 401
    assert isinstance(admitted(authorization=shown, path="/health"), str)


def test_a_keys_ending_says_which_host_it_is() -> None:
    assert admitted(authorization=f"Bearer {KEY}.vim") == "vim"
    assert admitted(authorization=f"bearer {KEY}.nonsense") == "openai"


def test_a_private_socket_needs_no_key() -> None:
    assert admitted(key=None, authorization="", host="anything") == "openai"
    assert isinstance(admitted(key=None, origin="null"), Refusal)


def test_the_key_is_made_once_and_is_its_owners_alone(config: Path) -> None:
    first = access.key()
    assert access.key() == first
    assert (config / "keys" / "serve.key").stat().st_mode & 0o777 == 0o600
    assert access.key(new=True) != first


def test_a_key_that_others_can_read_is_not_used(config: Path) -> None:
    access.key()
    (config / "keys" / "serve.key").chmod(0o640)
    with pytest.raises(CharreplError, match=r"open to other users .* charrepl serve --new-key"):
        access.key()


def test_a_damaged_key_is_said(config: Path) -> None:
    access.key()
    (config / "keys" / "serve.key").write_text("two words\n")
    with pytest.raises(CharreplError, match="is damaged"):
        access.key()


def test_what_to_paste_has_the_address_and_the_hosts_key() -> None:
    assert serve_command.HOSTS == setup_texts.NAMES
    for name in setup_texts.NAMES:
        text = setup_texts.text(name, url="http://127.0.0.1:9", key=KEY)
        assert "http://127.0.0.1:9" in text and f"{KEY}.{name}" in text
