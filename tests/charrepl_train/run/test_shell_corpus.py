"""`charrepl-train --shell-history`: a model of your commands, without your secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charrepl.settings import model_names
from charrepl_train.run import presets, shell_corpus
from charrepl_train.text import split
from tests.charrepl_train.command import Start, finish, one_line, run_file, train

SECRET = "export API_TOKEN=hunter2"


def history(file: Path, commands: int = 400) -> Path:
    """A history of zsh's, with a secret and a command that begins with a space."""
    lines = [f": {1_700_000_000 + n}:0;git add notes{n % 7}.txt" for n in range(commands)]
    lines[5:5] = [f": 1700000005:0;{SECRET}", ": 1700000005:0; ls"]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_model_of_your_commands_is_for_shells_and_not_the_default(
    start: Start, home: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTFILE", str(history(home / "mine")))
    monkeypatch.setenv("HOME", str(home))
    before = model_names.default()
    code, _, err = finish(start("--shell-history", "--config", settings, "--epochs", 2))
    assert code == 0
    assert err[0].startswith("Training shell on CPU, ")
    assert " with preset shell, for commands: " in err[0]
    assert err[1] == ("Read 400 commands. Left out what may be secret: 1 assigned, 1 begins with a space.")
    assert err[-1] == ('Use it in a new shell whose start-up file has: eval "$(charrepl shell zsh)"')
    directory = home / "data" / "models" / "shell"
    (kept,) = shell_corpus.kept(directory).iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().splitlines() == [f"git add notes{n % 7}.txt" for n in range(400)]
    assert [path for path in directory.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == []
    assert model_names.default() == before
    assert model_names.find("shell") == directory


def test_held_out_is_the_latest_tenth_and_a_run_goes_on_with_the_commands_it_began_with(
    tmp_path: Path, settings: Path
) -> None:
    file = history(tmp_path / "history")
    command = ["--shell-history", file, "--config", settings, "--out", tmp_path / "model"]
    result = train(*command, "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    characters = sum(len(path.read_text()) for path in shell_corpus.kept(tmp_path / "model").iterdir())
    assert run_file(tmp_path / "model")["split"][-1] == [[characters * 9 // 10, characters]]
    history(file, 500)
    result = train("--shell-history", "--out", tmp_path / "model", "--resume", "--epochs", 2)
    assert result.exit_code == 0, result.stderr


def test_each_history_is_a_text_of_its_own_whatever_its_name(tmp_path: Path, settings: Path) -> None:
    (tmp_path / "bash").write_text("make test\n" * 300)
    files = [history(tmp_path / ".zsh_history"), tmp_path / "bash"]
    result = train(
        "--shell-history", *files, "--config", settings, "--out", tmp_path / "model", "--epochs", 1
    )
    assert result.exit_code == 0, result.stderr
    assert "Read 700 commands of 2 histories." in result.stderr
    kept = sorted(path.name for path in shell_corpus.kept(tmp_path / "model").iterdir())
    assert kept == ["001-zsh_history.txt", "002-bash.txt"]


def test_a_short_history_is_to_come_back_later(tmp_path: Path) -> None:
    command = ["--shell-history", history(tmp_path / "history", 150), "--out", tmp_path / "model"]
    assert one_line(train(*command)) == (
        "there are 150 commands, too few to learn from: come back when there are 200"
    )
    assert not (tmp_path / "model").exists()


def test_no_history_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HISTFILE", "ZDOTDIR", "XDG_DATA_HOME", "XDG_STATE_HOME", "IPYTHONDIR"):
        monkeypatch.delenv(name, raising=False)
    assert "no shell has left a history" in one_line(train("--shell-history", "--out", tmp_path / "model"))


def test_a_dry_run_keeps_nothing(tmp_path: Path, settings: Path) -> None:
    file = history(tmp_path / "history")
    command = ["--shell-history", file, "--config", settings, "--out", tmp_path / "model"]
    result = train(*command, "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["characters"] == 400 * len("git add notes0.txt\n")
    assert not (tmp_path / "model").exists()


def test_a_short_history_is_read_often() -> None:
    def read(characters: int) -> float:
        training = presets.choose(characters, on_gpu=False, of_shell=True).config.training
        return training.epochs * split.lengths(characters, training)[0]

    assert read(4_000) > 500_000
    assert read(200_000) < 4e6
