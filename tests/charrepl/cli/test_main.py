"""The commands that need no daemon, and what every command refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from charrepl.cli.main import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for kind in ("DATA", "CONFIG", "RUNTIME"):
        monkeypatch.setenv(f"CHARREPL_{kind}_DIR", str(tmp_path))
    return tmp_path


def make_model(home: Path, name: str, *, config: str = "") -> Path:
    directory = home / "models" / name
    (directory / "checkpoints" / "best-00000001").mkdir(parents=True)
    (directory / "config.toml").write_text(config)
    (directory / "vocab.json").write_text('{"characters": ["a", "b"]}')
    return directory


def charrepl(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_models_marks_the_configured_one(home: Path) -> None:
    make_model(home, "lamp")
    other = make_model(home, "other")
    (home / "config.toml").write_text('model = "lamp"')
    assert [line[:6] for line in charrepl("models").stdout.splitlines()] == ["* lamp", "  othe", "  shak"]
    assert json.loads(charrepl("models", "--json").stdout)["default"] == "lamp"
    (home / "config.toml").write_text(f'model = "{other}"')
    assert "* other" in charrepl("models").stdout


def test_a_broken_model_does_not_keep_the_others_from_the_list(home: Path) -> None:
    make_model(home, "broken", config="model = 3")
    make_model(home, "lamp", config="[model]\nlayers = 2")
    listed = charrepl("models")
    assert listed.exit_code == 0
    assert "broken is not a charrepl model" in listed.stderr
    assert "2 x 512" in listed.stdout
    assert "shakespeare" in listed.stdout


@pytest.mark.parametrize("command", ["complete", "score"])
def test_an_option_before_a_command_is_the_commands_own(command: str) -> None:
    before = charrepl("--endpoint", "nonsense", command, __file__)
    assert before.exit_code == 1
    assert "'nonsense' is not an endpoint" in before.stderr
    both = charrepl("--endpoint", "nonsense", command, __file__, "--endpoint", "rubbish")
    assert "'rubbish' is not an endpoint" in both.stderr


def test_debug_before_a_command_shows_where_it_failed(home: Path) -> None:
    (home / "config.toml").write_text("modle = 1")
    assert isinstance(charrepl("models").exception, SystemExit)
    assert "unknown setting modle" in str(charrepl("--debug", "models").exception)


@pytest.mark.parametrize("option", [("--model", "tiny"), ("--vi",), ("--continue",)])
def test_an_option_that_the_command_does_not_have_is_a_usage_error(option: tuple[str, ...]) -> None:
    refused = charrepl(*option, "models")
    assert refused.exit_code == 2
    assert f"charrepl models has no option {option[0]}" in refused.stderr


@pytest.mark.parametrize("option", ["--temperature", "--top-p"])
def test_nan_is_in_no_range(option: str) -> None:
    refused = charrepl("complete", "x", option, "nan")
    assert refused.exit_code == 2
    assert f"'{option}'" in refused.stderr


@pytest.mark.parametrize("command", ["", "score", "complete"])
def test_a_closed_standard_input_is_said_in_one_line(command: str) -> None:
    program = f"{sys.executable} -c 'from charrepl.cli.main import main; main()' {command} <&-"
    done = subprocess.run(program, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: standard input is closed: give the text, or a file, to read instead\n"
