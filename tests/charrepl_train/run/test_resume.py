"""charrepl-train that goes on: after an interruption, with more to do, and not with what is not the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import msgspec
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from charrepl_train import hyperparameters
from charrepl_train.model_directory import loaded_model
from charrepl_train.optimisation import evaluate
from charrepl_train.text.corpus import read
from charrepl_train.text.split import Split
from tests.charrepl_train.command import (
    Start,
    finish,
    metrics,
    one_line,
    run_file,
    train,
    until_measured,
)


def steps_shown(directory: Path) -> list[int]:
    """The steps of the dev losses that TensorBoard shows."""
    events = EventAccumulator(str(directory / "tensorboard")).Reload()
    return [event.step for event in events.Scalars("loss/dev")]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    start: Start, tmp_path: Path, settings: Path, corpus: Path, whole: Path
) -> None:
    command = [corpus, "--config", settings, "--out", tmp_path / "run"]
    stops = ((signal.SIGINT, []), (signal.SIGKILL, ["--resume"]), (signal.SIGTERM, ["--resume"]))
    for number, arguments in stops:
        process = start(*command, *arguments)
        until_measured(process)
        process.send_signal(number)
        code, _, err = finish(process)
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL
            continue
        assert code == 130
        assert err[-3] == "Saving... Another Ctrl-C stops without saving."
        assert err[-2] == f"Type with what it has learnt so far: charrepl --model {tmp_path / 'run'}"
        assert err[-1] == f"Saved. Continue with: charrepl-train {corpus} --out {tmp_path / 'run'} --resume"
        assert not run_file(tmp_path / "run")["finished"]
        assert (tmp_path / "run" / "curve.png").is_file()
    code, _, err = finish(start(*command, "--resume"))
    assert code == 0
    assert err[-1].startswith("Type with it: ")
    for kept in ("total_steps", "layers_by"):
        assert run_file(tmp_path / "run")[kept] == run_file(whole)[kept]
    # To the bit: dropout, sampling, the optimiser and the means of the losses included.
    assert metrics(tmp_path / "run") == metrics(whole)
    assert steps_shown(tmp_path / "run") == [line["step"] for line in metrics(whole)[:-1]]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    times = [json.loads(line).get("elapsed_s", 1e9) for line in lines]
    assert times == sorted(times)
    first, second = (loaded_model.load(path) for path in (tmp_path / "run", whole))
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)


def test_a_finished_run_is_trained_further_when_given_more_epochs(copy: Path, corpus: Path) -> None:
    before = metrics(copy)
    result = train(corpus, "--out", copy, "--resume", "--epochs", 25)
    assert result.exit_code == 0, result.stderr
    assert run_file(copy)["total_steps"] == 25 * 24
    assert metrics(copy)[: len(before)] == before
    assert metrics(copy)[-1]["step"] == 25 * 24


def test_epochs_in_the_file_of_settings_count_too(copy: Path, corpus: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.toml"
    longer.write_text("[training]\nepochs = 26.0\n")
    assert train(corpus, "--out", copy, "--resume", "--config", longer).exit_code == 0
    assert run_file(copy)["total_steps"] == 26 * 24
    assert metrics(copy)[-1]["step"] == 26 * 24


def test_fewer_epochs_than_were_trained_are_refused(copy: Path, corpus: Path) -> None:
    before = metrics(copy), run_file(copy)
    line = one_line(train(corpus, "--out", copy, "--resume", "--epochs", 10))
    assert line == (
        "copy has been trained for 24 epochs already: resume with more than 10, or choose another --name"
    )
    assert (metrics(copy), run_file(copy)) == before


def test_two_at_once_are_one_too_many(
    start: Start, home: Path, tmp_path: Path, settings: Path, corpus: Path
) -> None:
    directory = tmp_path / "run"
    process = start(corpus, "--config", settings, "--out", directory, "--epochs", 2000)
    until_measured(process)
    line = one_line(train(corpus, "--out", directory, "--resume"))
    assert line == f"another charrepl-train is at work in {directory}: wait for it, or choose another --name"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 130
    step = metrics(directory)[-1]["step"]
    assert train(corpus, "--out", directory, "--resume", "--epochs", step // 24 + 2).exit_code == 0


def test_ctrl_c_while_the_held_out_text_is_read_says_how_to_go_on(
    settings: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [corpus, "--config", settings, "--epochs", 1, "--out", tmp_path / "run"]

    def interrupt(*arguments: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate.Evaluator, "stateful", interrupt)
        result = train(*command)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].endswith(f" --out {tmp_path / 'run'} --resume")
    assert not run_file(tmp_path / "run")["finished"]
    assert train(*command, "--resume").exit_code == 0
    assert "held_out_loss" in metrics(tmp_path / "run")[-1]


def test_half_a_line_of_metrics_does_not_stop_a_resumed_run(copy: Path, corpus: Path) -> None:
    before = metrics(copy)
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "los')
    result = train(corpus, "--out", copy, "--resume")
    assert result.exit_code == 0, result.stderr
    assert metrics(copy)[: len(before)] == before


def test_training_ends_well_where_no_daemon_can_be(
    copy: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", "/tmp/" + "long" * 40)
    result = train(corpus, "--out", copy, "--resume")
    assert result.exit_code == 0, result.stderr


@pytest.mark.usefixtures("whole")  # which compiles
def test_minutes_become_steps_that_resuming_keeps_until_they_are_taken(
    home: Path, settings: Path, corpus: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    command = [corpus, "--config", settings, "--out", directory, "--minutes", 0.1]
    result = train(*command)
    assert result.exit_code == 0, result.stderr
    run = run_file(directory)
    assert run["minutes"] == 0.1
    assert run["finished"]
    assert run["total_steps"] == metrics(directory)[-1]["step"] >= 7
    # What was timed left no trace: begun anew with that number, it is the same run.
    measured = metrics(directory)
    (directory / "metrics.jsonl").unlink()
    shutil.rmtree(directory / "checkpoints")
    edit(directory / "run.json", '"finished": true', '"finished": false')
    assert (
        "Nothing had been saved yet: this starts from the beginning."
        in train(*command[:-2], "--resume").stderr
    )
    assert metrics(directory) == measured
    # As one that was killed after its last step: the same steps, which are all taken.
    edit(directory / "run.json", '"finished": true', '"finished": false')
    for minutes in ([], ["--minutes", 0.1]):
        assert train(*command[:-2], *minutes, "--resume").exit_code == 0
        assert run_file(directory)["total_steps"] == run["total_steps"]
        edit(directory / "run.json", '"finished": true', '"finished": false')
    # Minutes for a run that is finished count from here, however long it took before.
    edit(directory / "run.json", '"finished": false', '"finished": true')
    edit(directory / "run.json", '"elapsed_s": ', '"elapsed_s": 1000')
    for minutes, more in ((0.02, 1), (0.12, 20)):  # compiling takes the most of the first
        before = run_file(directory)["total_steps"]
        result = train(*command[:-1], minutes, "--resume")
        assert result.exit_code == 0, result.stderr
        assert run_file(directory)["minutes"] == minutes
        assert run_file(directory)["total_steps"] == metrics(directory)[-1]["step"] >= before + more


def test_a_run_that_is_trained_further_is_not_finished_meanwhile(
    start: Start, copy: Path, corpus: Path
) -> None:
    assert run_file(copy)["finished"]
    process = start(corpus, "--out", copy, "--resume", "--epochs", 400)
    until_measured(process)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert not run_file(copy)["finished"]


def test_another_text_is_refused(copy: Path, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(corpus.read_text() + "One more line.\n")
    line = one_line(train(other, "--out", copy, "--resume"))
    assert line.startswith("copy was trained on another text (corpus.txt): resume with the same files")
    assert line.endswith("or learn this one from it: --from copy --name ANOTHER")


def test_a_run_goes_on_with_the_split_it_began_with(copy: Path, corpus: Path) -> None:
    kept = run_file(copy)
    assert [len(part) for part in kept["split"]] == [1, 1, 1]
    assert kept["split"][1] == [[0, 172]]
    (end,) = kept["split"][2]
    other = [[[100, end[0]]], [[0, 100]], [end]]
    (copy / "run.json").write_text(json.dumps({**kept, "split": other}))
    config = hyperparameters.load(copy / "config.toml").training
    with read([corpus], near=copy) as text:
        vocabulary = text.corpus(config, rule=lambda *_: msgspec.convert(other, Split)).vocabulary
    (copy / "vocab.json").write_bytes(vocabulary.encoded())
    result = train(corpus, "--out", copy, "--resume", "--epochs", 25)
    assert result.exit_code == 0, result.stderr
    assert run_file(copy)["split"] == other
    assert f" {end[0] - 100:,} characters " in " ".join(result.stderr.split())


def test_how_a_run_is_watched_may_change(copy: Path, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[training]\nevaluations = 3\nsample_characters = 0\n")
    result = train(corpus, "--out", copy, "--resume", "--config", other, "--epochs", 28)
    assert result.exit_code == 0, result.stderr
    assert "evaluations is 3 from here on; it was 6." in result.stderr
    assert "sample_characters is 0 from here on; it was 30." in result.stderr
    assert hyperparameters.load(copy / "config.toml").training.evaluations == 3
    assert "sample" not in metrics(copy)[-2]
    again = train(corpus, "--out", copy, "--resume", "--epochs", 29)
    assert "from here on" not in again.stderr


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("[model]\nhidden_size = 17", "another hidden_size (16, not 17)"),
        ("[model]\nlayers = 2", "another layers (1, not 2)"),
        ("[training]\nsequence_length = 8", "another sequence_length (16, not 8)"),
    ],
)
def test_another_model_is_refused(
    copy: Path, corpus: Path, tmp_path: Path, setting: str, complaint: str
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(setting)
    line = one_line(train(corpus, "--out", copy, "--resume", "--config", other))
    assert f"copy was trained with {complaint}: resume without --preset, --config, --from and --seed" in line


def test_another_seed_is_refused(copy: Path, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[training]\nseed = 3\n")
    for wish in ("--seed", 3), ("--config", other):
        assert "another seed (0, not 3)" in one_line(train(corpus, "--out", copy, "--resume", *wish))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda copy: edit(copy / "vocab.json", "A", "Z"), "vocab.json is not the vocabulary of this text"),
        (lambda copy: (copy / "vocab.json").write_text("{}"), "vocab.json is not a vocabulary"),
        (lambda copy: (copy / "run.json").write_bytes(b'{"corpus": ["\xff"]}'), "run.json is damaged"),
        (lambda copy: (copy / "run.json").write_text("{}"), "run.json is damaged"),
        (lambda copy: (copy / "config.toml").unlink(), "config.toml: No such file"),
        (
            lambda copy: edit(copy / "config.toml", "hidden_size = 16", "hidden_size = 17"),
            "does not fit its config.toml and vocab.json",
        ),
        (
            lambda copy: shutil.rmtree(next(copy.glob("checkpoints/latest-*"))),
            "has no checkpoint to continue from, and starting again would replace what it has learnt",
        ),
        (
            lambda copy: max(
                next(copy.glob("checkpoints/latest-*/state/**/d")).iterdir(), key=lambda p: p.stat().st_size
            ).unlink(),
            "is damaged or not a charrepl checkpoint",
        ),
    ],
)
def test_a_damaged_run_is_not_resumed(
    copy: Path, corpus: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    damage(copy)
    assert complaint in one_line(train(corpus, "--out", copy, "--resume"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount the small disk this needs")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk has no end")


def test_a_full_disk_loses_nothing_and_training_goes_on_after(
    small_disk: Path, settings: Path, corpus: Path, home: Path
) -> None:
    directory = small_disk / "run"
    assert train(corpus, "--config", settings, "--epochs", 1, "--out", directory).exit_code == 0
    before = sorted((directory / "checkpoints").iterdir())
    filler = fill(small_disk)
    measured = metrics(directory)
    further = [corpus, "--config", settings, "--out", directory, "--epochs", 2, "--resume"]
    # Not even the settings can be written...
    assert one_line(train(*further)).startswith(f"could not write {directory}/vocab.json: No space left on")
    # ...and then they can, but no checkpoint.
    filler.write_bytes(b"x" * (filler.stat().st_size - 24 * 1024))
    result = train(*further)
    assert result.exit_code == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"Error: could not save {directory}/checkpoints/")
    assert line.endswith(
        "No space left on device; the checkpoint before it is untouched: "
        "free some space and run again with --resume"
    )
    assert metrics(directory) == measured
    assert sorted((directory / "checkpoints").iterdir()) == before
    loaded_model.load(directory)
    filler.unlink()
    result = train(*further)
    assert result.exit_code == 0, result.stderr
    assert metrics(directory)[-1]["step"] == 48


def test_a_run_remembers_how_its_text_was_encoded(tmp_path: Path, settings: Path, corpus: Path) -> None:
    """Its figures are those of the same text in UTF-8, and resuming reads it so again."""
    text = corpus.read_text().replace("e", "é")
    plain, wide, run = tmp_path / "plain.txt", tmp_path / "wide.txt", tmp_path / "run"
    plain.write_text(text)
    wide.write_bytes(text.encode("utf-16"))
    assert one_line(train(wide, "--out", run)).startswith(f"{wide} is UTF-16, not UTF-8: run iconv ")
    short = ["--config", settings, "--epochs", 2]
    assert train(wide, *short, "--out", run, "--encoding", "UTF-16").exit_code == 0
    assert run_file(run)["encoding"] == "UTF-16"
    result = train(wide, "--out", run, "--resume", "--epochs", 4)
    assert result.exit_code == 0, result.stderr
    assert train(plain, "--config", settings, "--epochs", 2, "--out", tmp_path / "utf-8").exit_code == 0
    assert train(plain, "--out", tmp_path / "utf-8", "--resume", "--epochs", 4).exit_code == 0
    assert metrics(run) == metrics(tmp_path / "utf-8")


def test_a_run_remembers_how_its_text_was_cleaned(tmp_path: Path, settings: Path, corpus: Path) -> None:
    chat, run = tmp_path / "chat.txt", tmp_path / "run"
    lines = corpus.read_text().splitlines()
    chat.write_text("".join(f"12/03/24, 12:03 - Anna: {line}\n" for line in lines))
    short = ["--config", settings, "--epochs", 2, "--out", run]
    result = train(chat, *short, "--clean", "chat")
    assert result.exit_code == 0, result.stderr
    assert f"Cleaned away: time stamps ({len(lines)})." in result.stderr
    result = train(chat, "--out", run, "--resume", "--epochs", 4)
    assert result.exit_code == 0, result.stderr
    assert run_file(run)["clean"] == ["chat"]
