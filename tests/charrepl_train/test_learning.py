"""`charrepl learn`: nothing is trained before it was asked for; then, when enough is new."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.shells import learning
from tests.charrepl.prompt import CHARREPL
from tests.charrepl_train.run.test_shell_corpus import history


@pytest.fixture
def file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only history, which is found."""
    for name in ("ZDOTDIR", "XDG_DATA_HOME", "XDG_STATE_HOME", "IPYTHONDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HISTFILE", str(tmp_path / "history"))
    return history(tmp_path / "history", 300)


def charrepl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CHARREPL, *arguments], capture_output=True, text=True, timeout=300, check=False)


def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is begun in the background, without doing it."""
    found: list[str] = []
    monkeypatch.setattr(learning, "begin", lambda: found.append("begun"))
    return found


def test_nothing_is_learnt_before_it_is_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = begun(monkeypatch)
    learning.begin_if_due()
    assert started == []
    learning.switch(True)
    learning.begin_if_due()
    assert started == ["begun"]
    learning.switch(False)
    learning.begin_if_due()
    assert started == ["begun"]


def test_a_shell_looks_once_a_day(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = begun(monkeypatch)
    learning.switch(True)
    monkeypatch.setattr(learning, "_train", lambda: None)
    learning.learn()
    learning.begin_if_due()
    assert started == []


def test_a_model_is_trained_and_again_when_a_tenth_is_new(
    file: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--config", str(settings), "--epochs", "1")
    monkeypatch.setattr(learning, "_OPTIONS", (*learning._OPTIONS, *options))
    assert learning.added() == (300, 300)
    learning.learn()
    first = (learning.directory() / "run.json").stat().st_ino
    assert learning.added() == (300, 0)
    history(file, 310)
    learning.learn()
    assert (learning.directory() / "run.json").stat().st_ino == first  # too few are new
    with file.open("a") as opened:
        opened.writelines(f": 1800000000:0;make test{n}\n" for n in range(60))
    assert learning.added() == (370, 70)
    learning.learn()
    assert learning.added() == (370, 0)
    assert [path.name for path in learning.directory().parent.iterdir()] == ["shell"]


def test_a_command_of_several_lines_is_one(file: Path) -> None:
    file.write_text("".join(f": 1700000000:0;for n in {n}; do\\\necho $n\\\ndone\n" for n in range(120)))
    assert learning.added() == (120, 120)
    kept = learning.directory() / "shell-history"
    kept.mkdir(parents=True)
    (kept / "1.txt").write_text("".join(f"for n in {n}; do\necho $n\ndone\n" for n in range(100)))
    assert learning.added() == (120, 20)


def test_a_model_that_was_put_aside_by_one_that_was_killed_comes_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = learning.directory().with_name(".shell-old")
    aside.mkdir(parents=True)
    (aside / "weights").touch()
    monkeypatch.setenv("JAX_PLATFORMS", "none")
    with pytest.raises(CharreplError, match="training failed: "):
        learning.learn()
    assert (learning.directory() / "weights").exists()


def test_a_failure_is_told_at_the_next_time_and_the_old_model_stays(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning.directory().mkdir(parents=True)
    (learning.directory() / "old").touch()
    monkeypatch.setattr(learning, "_ADDED", 0.0)
    monkeypatch.setenv("JAX_PLATFORMS", "none")
    with pytest.raises(CharreplError, match="training failed: "):
        learning.learn()
    assert (learning.directory() / "old").exists()
    monkeypatch.setattr(learning, "_ADDED", 1.1)
    assert learning.state().read().failure.startswith("training failed: ")


def test_the_command_says_what_it_does(file: Path) -> None:
    history(file, 100)
    refused = charrepl("learn")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there are 100 commands, too few to learn from: come back when there are 200" in refused.stderr
    assert not learning.state().read().on
    kept = learning.directory() / "shell-history"
    kept.mkdir(parents=True)
    history(file, 300)
    (kept / "1.txt").write_text("".join(f"git add notes{n % 7}.txt\n" for n in range(290)))
    done = charrepl("learn")
    assert done.returncode == 0
    assert done.stdout.startswith("Of 300 commands, 10 are new: too few to learn again.")
    assert learning.state().read().on
    assert charrepl("learn", "--off").returncode == 0
    assert not learning.state().read().on
