"""`charrepl eval --shell`, with a model that knows the lines of a history by heart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.evaluation import shell_evaluation
from tests.charrepl_daemon.conftest import LINES
from tests.charrepl_daemon.serving.test_evaluation import evaluate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Lines as commands, each followed by one that nobody has seen, in sessions of twelve."""
    lines = [line for line in LINES.splitlines() if line] * 6
    commands = [command for n, line in enumerate(lines) for command in (line, f"{n * 7919 % 1000:03}zq")]
    times = [1_700_000_000 + n * 60 + n // 12 * 7200 for n in range(len(commands))]
    file = tmp_path / "history"
    file.write_text(
        "".join(f": {when}:0;{command}\n" for when, command in zip(times, commands, strict=True))
        + "export API_TOKEN=hunter2\n"
    )
    return file


def test_a_history_is_typed_with_itself_with_the_model_and_with_both(shared_daemon, file):
    done = evaluate("--shell", file, "--limit", 1500, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["model"], result["left_out"]) == ("", 1)
    assert 0 < result["characters"] <= 1500
    saved = {
        writer: {name: figures["keystroke_savings"] for name, figures in result[writer].items()}
        for writer in ("history", "charrepl", "both")
    }
    assert all(found > 0.3 for found in (*saved["history"].values(), *saved["both"].values()))
    assert saved["both"]["bold"] >= saved["charrepl"]["bold"]
    for figures in (*result["history"].values(), *result["both"].values()):
        assert 0 < figures["shown"] <= 1
        assert 0 < figures["first_word_precision"] <= 1
        assert figures["keystroke_savings_in_sessions_from_1"] is None
        assert figures["keystroke_savings_in_sessions_from_10"] == figures["keystroke_savings"]


def test_a_person_gets_a_table(shared_daemon, file):
    done = evaluate("--shell", file, "--limit", 300)
    rows = done.stdout.splitlines()
    assert rows[0].startswith("the default model: the latest ")
    assert [row[:16].split() for row in rows[4:]] == [
        ["history", "always"],
        *(["charrepl", name] for name in ("quiet", "normal", "bold")),
        *(["both", name] for name in ("quiet", "normal", "bold")),
    ]


def test_the_latest_tenth_is_typed_and_no_more_than_wanted() -> None:
    commands = [f"command {n:03}" for n in range(100)]
    assert shell_evaluation.held_out(commands, 10_000) == (90, 100)
    assert shell_evaluation.held_out(commands, 36) == (90, 93)
    for few in ([], ["ls"], ["ls"] * 3):
        with pytest.raises(CharreplError, match="too little to type"):
            shell_evaluation.held_out(few, 100)


def test_a_model_that_has_learnt_what_is_typed_is_told_from_others(tmp_path: Path, file: Path) -> None:
    history = shell_evaluation.read(file, 300)
    model = tmp_path / "model"
    assert not shell_evaluation.learnt(history, model)  # as one of texts
    (model / "shell-history").mkdir(parents=True)
    commands = "".join(f"{command.text}\n" for command in history.commands)
    (model / "shell-history" / "001-history.txt").write_text(commands)
    (model / "metrics.jsonl").write_text('{"step": 9, "held_out_loss": 1.5}\n')
    assert not shell_evaluation.learnt(history, model)  # they were held out
    (model / "metrics.jsonl").write_text('{"step": 9, "held_out_loss": 1.5, "last_pass_characters": 99}\n')
    assert shell_evaluation.learnt(history, model)
    (model / "shell-history" / "001-history.txt").write_text("ls\n" * 300)
    assert not shell_evaluation.learnt(history, model)  # those of another history
