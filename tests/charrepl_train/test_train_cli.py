"""charrepl-train from the outside: what it prints, what it leaves, how it ends and goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from charrepl_train import checkpoint, loop
from tests.charrepl_train.command import MAIN, metrics, one_line, run_file, train

TINY = """\
[model]
layers = 1
hidden_size = 16
[training]
batch_size = 4
sequence_length = 16
epochs = 24.0
evaluations = 6
sample_characters = 30
"""


@pytest.fixture(scope="module")
def settings(home: Path) -> Path:
    path = home / "tiny.toml"
    path.write_text(TINY)
    return path


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts `charrepl-train` as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", MAIN, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err.splitlines()


def until_measured(process: subprocess.Popen[str]) -> None:
    """Returns once the first evaluation has been printed."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch "):
            return
    raise AssertionError("it ended before it measured anything")


def steps_shown(directory: Path) -> list[int]:
    """The steps of the dev losses that TensorBoard shows."""
    events = EventAccumulator(str(directory / "tensorboard")).Reload()
    return [event.step for event in events.Scalars("loss/dev")]


@pytest.fixture(scope="module")
def whole(home: Path, settings: Path, corpus: Path) -> Path:
    """The directory of a run that nothing disturbed."""
    result = train(corpus, "--config", settings, "--name", "whole")
    assert result.exit_code == 0, result.stderr
    return home / "data" / "models" / "whole"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


def test_a_run_leaves_a_model_and_says_how_to_type_with_it(
    start: Start, home: Path, settings: Path, corpus: Path
) -> None:
    code, out, err = finish(start(corpus, "--config", settings, "--epochs", 2))
    assert code == 0
    assert out == ""
    assert err[0].startswith("Training corpus on CPU, ")
    assert " with preset small, for a short text: 1 x 16, " in err[0]
    assert err[0].endswith("1,641 characters of 46 kinds, 2 epochs. Ctrl-C saves.")
    assert err[-2].startswith("Held-out loss ")
    assert err[-1] == "Type with it: charrepl"
    directory = home / "data" / "models" / "corpus"
    assert sorted(path.name for path in directory.iterdir()) == [
        "checkpoints",
        "config.toml",
        "curve.png",
        "curve.svg",
        "metrics.jsonl",
        "run.json",
        "tensorboard",
        "vocab.json",
    ]
    steps = run_file(directory)["total_steps"]
    assert steps == 2 * 25
    assert run_file(directory)["finished"]
    *lines, last = metrics(directory)
    assert [line["step"] for line in lines][-1] == steps
    assert all({"loss", "accuracy", "learning_rate", "dev_loss", "sample"} <= line.keys() for line in lines)
    assert all(len(line["sample"]) == 30 for line in lines)
    assert {"step", "held_out_loss"} <= last.keys()
    assert checkpoint.load_model(directory).config.training.epochs == 2


def test_the_best_weights_are_those_of_the_lowest_dev_loss(whole: Path) -> None:
    lines = [line for line in metrics(whole) if "dev_loss" in line]
    best = min(lines, key=lambda line: line["dev_loss"])
    assert checkpoint.load_model(whole).step == best["step"]


def test_json_goes_to_standard_output(home: Path, tmp_path: Path, settings: Path, corpus: Path) -> None:
    directory = tmp_path / "my model"
    result = train(corpus, "--config", settings, "--epochs", 1, "--json", "--out", directory)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["model"] == str(directory)
    assert report["steps"] == 25
    measured = metrics(directory)
    assert report["held_out_loss"] == measured[-1]["held_out_loss"]
    assert report["dev_loss"] == pytest.approx(min(line.get("dev_loss", 9) for line in measured), abs=1e-6)
    assert result.stderr.splitlines()[-1] == f"Type with it: charrepl --model '{directory}'"


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
        assert err[-2] == "Saving..."
        assert err[-1] == f"Saved. Go on with: charrepl-train {corpus} --out {tmp_path / 'run'} --resume"
        assert not run_file(tmp_path / "run")["finished"]
        assert (tmp_path / "run" / "curve.png").is_file()
    code, _, err = finish(start(*command, "--resume"))
    assert code == 0
    assert err[-1].startswith("Type with it: ")
    assert run_file(tmp_path / "run")["total_steps"] == run_file(whole)["total_steps"]
    # To the bit: dropout, sampling, the optimiser and the means of the losses included.
    assert metrics(tmp_path / "run") == metrics(whole)
    assert steps_shown(tmp_path / "run") == [line["step"] for line in metrics(whole)[:-1]]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    times = [json.loads(line).get("elapsed_s", 1e9) for line in lines]
    assert times == sorted(times)
    first, second = (checkpoint.load_model(path) for path in (tmp_path / "run", whole))
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)


def test_a_finished_run_is_trained_further_when_given_more_epochs(copy: Path, corpus: Path) -> None:
    before = metrics(copy)
    result = train(corpus, "--out", copy, "--resume", "--epochs", 25)
    assert result.exit_code == 0, result.stderr
    assert run_file(copy)["total_steps"] == 25 * 25
    assert metrics(copy)[: len(before)] == before
    assert metrics(copy)[-1]["step"] == 25 * 25


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
    command = [corpus, "--config", settings, "--out", directory, "--minutes", 0.05]
    result = train(*command)
    assert result.exit_code == 0, result.stderr
    run = run_file(directory)
    assert run["minutes"] == 0.05
    assert run["finished"]
    assert run["total_steps"] == metrics(directory)[-1]["step"] >= 7
    # What was timed left no trace: begun anew with that number, it is the same run.
    measured = metrics(directory)
    (directory / "metrics.jsonl").unlink()
    shutil.rmtree(directory / "checkpoints")
    edit(directory / "run.json", '"finished": true', '"finished": false')
    assert train(*command[:-2], "--resume").exit_code == 0
    assert metrics(directory) == measured
    # As one that was killed after its last step: the same steps, which are all taken.
    edit(directory / "run.json", '"finished": true', '"finished": false')
    for minutes in ([], ["--minutes", 0.05]):
        assert train(*command[:-2], *minutes, "--resume").exit_code == 0
        assert run_file(directory)["total_steps"] == run["total_steps"]
        edit(directory / "run.json", '"finished": true', '"finished": false')
    # Minutes for a run that is finished count from here, however long it took before.
    edit(directory / "run.json", '"finished": false', '"finished": true')
    edit(directory / "run.json", '"elapsed_s": ', '"elapsed_s": 1000')
    for minutes, more in ((0.02, 1), (0.06, 20)):  # compiling takes the most of the first
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


def test_the_seed_preset_reports_every_epoch_and_samples_every_tenth(
    home: Path, tmp_path: Path, corpus: Path
) -> None:
    small = tmp_path / "small.toml"
    small.write_text("[model]\nlayers = 2\nhidden_size = 8\n")
    result = train(corpus, "--preset", "seed", "--config", small, "--epochs", 20, "--out", tmp_path / "seed")
    assert result.exit_code == 0, result.stderr
    assert "Held-out" not in result.stderr  # all of the text was trained on
    lines = metrics(tmp_path / "seed")
    assert [line["epoch"] for line in lines] == list(range(1, 21))
    assert [line["learning_rate"] for line in lines] == pytest.approx(
        [0.002 * 0.97 ** (epoch // 5) for epoch in range(20)], rel=1e-6
    )
    assert [line["epoch"] for line in lines if "sample" in line] == [10, 20]
    assert all(len(line["sample"]) == 200 for line in lines if "sample" in line)
    printed = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert len(printed) == 20
    for line, measured in zip(printed, lines, strict=True):
        assert f"loss {measured['loss']:.4f}  accuracy {measured['accuracy']:.2%}" in line
        assert f"learning rate {measured['learning_rate']:.3g}" in line
    assert checkpoint.load_model(tmp_path / "seed").step == 20


def test_a_name_that_is_taken_is_refused(whole: Path, corpus: Path, settings: Path) -> None:
    before = checkpoint.load_model(whole).digest
    line = one_line(train(corpus, "--name", "whole", "--config", settings))
    assert line == f"a model is already in {whole}: pass --resume to train it further, or --name to keep both"
    assert checkpoint.load_model(whole).digest == before


def test_a_place_is_free_where_a_run_ended_before_it_began(
    corpus: Path, settings: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "vocab.json").write_text("{}")
    (directory / "config.toml").write_text("[model]")
    command = [corpus, "--config", settings, "--epochs", 1, "--out", directory]
    assert one_line(train(*command, "--resume")).startswith("there is nothing to resume in")
    result = train(*command)
    assert result.exit_code == 0, result.stderr
    (directory / "run.json").unlink()
    for arguments in ([], ["--resume"]):
        assert "has files in it, but no run.json" in one_line(train(*command, *arguments))


def test_a_directory_with_somebodys_own_settings_is_not_free(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TINY)
    assert "has files in it" in one_line(train(corpus, "--out", tmp_path))
    assert (tmp_path / "config.toml").read_text() == TINY


def test_a_device_that_fails_is_one_line_and_what_was_saved_stays(
    copy: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((copy / "checkpoints").iterdir())

    def fail(*arguments: object, **options: object) -> None:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 640000000000 bytes.")

    monkeypatch.setattr(loop, "update", fail)
    result = train(corpus, "--out", copy, "--resume", "--epochs", 30)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: the device is out of memory with hidden_size = 16 and batch_size = 4: train with a lower one "
        f"under another --name; what was saved before is kept in {copy}"
    )
    assert sorted((copy / "checkpoints").iterdir()) == before
    checkpoint.load_model(copy)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--name", "nothing", "--resume"], "there is nothing to resume in"),
        (["--name", "no/good"], "'no/good' cannot be a model's name"),
        (
            ["--name", "new", "--config", "missing.toml"],
            "cannot read missing.toml: No such file",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(home: Path, corpus: Path, arguments: list[str], complaint: str) -> None:
    assert one_line(train(corpus, *arguments)).startswith(complaint)


def test_a_corpus_that_cannot_be_used_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    missing, short = tmp_path / "missing.txt", tmp_path / "short.txt"
    short.write_text("x")
    assert one_line(train(missing)) == f"{missing} does not exist: name a UTF-8 text file"
    line = one_line(train(short, "--preset", "seed"))
    assert line.startswith(
        "the corpus has 1 characters, of which 1 are left to train on: sequence_length = 49"
    )
    assert not any((home / "data" / "models" / name).exists() for name in ("missing", "short"))


def test_a_misspelt_setting_is_one_line(start: Start, tmp_path: Path, corpus: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[training]\nlearning_rat = 0.1\n")
    code, _, err = finish(start(corpus, "--config", wrong, "--out", tmp_path / "run"))
    assert code == 1
    assert err == [f"Error: {wrong}: line 2: unknown setting 'learning_rat'; did you mean learning_rate?"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.txt", "--epochs", "0"],
        ["x.txt", "--epochs", "nan"],
        ["x.txt", "--minutes", "inf"],
        ["x.txt", "--epochs", "1", "--minutes", "1"],
        ["x.txt", "--preset", "none"],
        ["x.txt", "--nonsense"],
    ],
)
def test_wrong_usage_ends_with_2(home: Path, arguments: list[str]) -> None:
    assert train(*arguments).exit_code == 2


def test_help_needs_no_jax(home: Path) -> None:
    heavy = ["jax", "flax", "orbax", "optax", "numpy", "rich"]
    code = f"""if True:
        import sys
        from charrepl_train.cli import main
        try:
            main(["--help"])
        finally:
            assert not set({heavy}) & set(sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--resume" in done.stdout


def test_another_text_is_refused(copy: Path, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(corpus.read_text() + "One more line.\n")
    line = one_line(train(other, "--out", copy, "--resume"))
    assert line.startswith("copy was trained on another text (corpus.txt): resume with the same files")


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


def test_another_seed_is_refused(copy: Path, corpus: Path) -> None:
    line = one_line(train(corpus, "--out", copy, "--resume", "--seed", 3))
    assert "another seed (0, not 3)" in line


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


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
    checkpoint.load_model(directory)
    filler.unlink()
    result = train(*further)
    assert result.exit_code == 0, result.stderr
    assert metrics(directory)[-1]["step"] == 50


def test_jax_without_a_device_is_one_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")
    code, _, err = finish(start(corpus, "--out", tmp_path / "run"))
    assert code == 1
    assert len(err) == 1
    assert err[0].startswith("Error: JAX found no device")
    assert err[0].endswith("set JAX_PLATFORMS=cpu to use the processor")
