"""Settings: what config.toml may say, and how a mistake in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.settings import Settings, load, parse


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path / "config.toml") == Settings()


def test_every_setting_can_be_set() -> None:
    lines = [b'model = "tiny"', b'editing_mode = "vi"', b'assertiveness = "bold"', b"temperature = 0.8"]
    assert parse(b"\n".join([*lines, b"escape_timeout_ms = 50"]), "config.toml") == Settings(
        model="tiny", editing_mode="vi", assertiveness="bold", temperature=0.8, escape_timeout_ms=50
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b'\n\nmodle = "x"', "c:3: unknown setting modle: did you mean model?"),
        (b"zzz = 1", "c:1: unknown setting zzz: the settings are model, editing_mode"),
        (b"[model]\nname = 1", "c:1: model = {'name': 1}: expected a string in quotes"),
        (b"# x\ntemperature = true", "c:2: temperature = True: expected a number"),
        (b"temperature = 11", "c:1: temperature = 11: expected 0 (greedy) to 10"),
        (b"temperature = nan", "c:1: temperature = nan: expected 0 (greedy) to 10"),
        (b"escape_timeout_ms = 0.5", "c:1: escape_timeout_ms = 0.5: expected a whole number"),
        (b'model = ""\nediting_mode = "vim"', 'c:2: editing_mode = \'vim\': expected "emacs" or "vi"'),
        (b'assertiveness = "loud"', 'c:1: assertiveness = \'loud\': expected "quiet", "normal" or "bold"'),
        (b"model = ", "c:1: not TOML: Invalid value"),
        (b'\nmodel = "x', "c:2: not TOML: "),
        (b'\n\xff = "x"', "c:2: not UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_remedy(source: bytes, said: str) -> None:
    with pytest.raises(CharreplError) as error:
        parse(source, "c")
    assert str(error.value).startswith(said)


def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CharreplError, match=r"cannot read .*: Is a directory"):
        load(tmp_path)
