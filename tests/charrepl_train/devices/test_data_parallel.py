"""Training on several devices and in several processes: the same steps as on one device, and a common end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import pytest

from charrepl.errors import CharreplError
from charrepl_train import hyperparameters
from charrepl_train.run import distributed_run
from charrepl_train.text import batching
from tests.charrepl_train.command import MAIN, Process, Start, commands, finish, until_measured

# A batch that four devices cannot share evenly, and all that is drawn by chance.
MODEL = {"layers": 1, "hidden_size": 12}
TRAINING = {
    "batch_size": 6,
    "sequence_length": 16,
    "epochs": 8.0,
    "evaluations": 4,
    "learning_rate": 0.003,
    "output_dropout": 0.2,
    "weight_drop": 0.2,
    "average": 0.9,
    "reset_every": 100.0,
    "sample_characters": 0,
    "precision": "f32",
}
EXACT = {"step", "epoch"}
ROUNDED = {"loss", "dev_loss", "held_out_loss", "learning_rate"}
TOLERANCE = 5e-7  # relative: four times what an f32 is rounded by, for sums in another order


@pytest.fixture(scope="module")
def start(home: Path) -> Iterator[Start]:
    """Starts `charrepl-train` as a process of its own that has so many devices."""
    with commands() as start_one:

        def start(*arguments: object, devices: int = 1, flags: str = "", program: str = MAIN) -> Process:
            # Hardly optimised: compiling takes most of the time here.
            flags += f" --xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
            return start_one(*arguments, program=program, XLA_FLAGS=flags)

        yield start


@pytest.fixture(scope="module")
def pair(start: Start) -> Callable[..., tuple[Process, Process]]:
    """Starts two processes that train together; what only one of them is given, by its number."""

    def pair(*arguments: object, only: dict[int, list[object]] | None = None, devices: int = 1):
        group = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2, "--process-id"]
        given = [[*arguments, *(only or {}).get(number, []), *group, number] for number in (0, 1)]
        return tuple(start(*each, devices=devices) for each in given)

    return pair


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])


def metrics(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


JOINED = "Process 1 of 2 has joined; process 0 reports."
LOST = (
    "Error: another of the 2 processes has ended or cannot be reached: see what it said, and start all of "
    "them again, with --resume once something has been saved"
)


@pytest.fixture(scope="module")
def alone(home: Path, corpus: Path, make_trainer) -> Path:
    """The directory of a run on one device."""
    trainer = make_trainer(home / "data" / "models" / "alone", corpus.read_text(), **MODEL, **TRAINING)
    for _ in trainer.train():
        pass
    trainer.finish()
    return trainer.directory


@pytest.fixture(scope="module")
def moved(home: Path, corpus: Path, start: Start, pair, make_trainer) -> dict[str, object]:
    """A run that moved from one device to four, and from those to two processes with two each."""
    directory = home / "moved"
    trainer = make_trainer(directory, corpus.read_text(), **MODEL, **TRAINING)
    begun: list[object] = []
    for line in trainer.train(interrupted=lambda: bool(begun)):
        begun.append(line)
    command = [directory.with_suffix(".txt"), "--resume", "--out"]
    dump = f"--xla_dump_to={home / 'programs'} --xla_dump_hlo_module_re=jit_update --xla_dump_hlo_as_text"
    four = start(*command, directory, devices=4, flags=dump)
    until_measured(four)
    four.kill()
    finish(four)
    ends: dict[str, object] = {"directory": directory}
    both = pair(*command, only={0: [directory, "--json"], 1: [home / "nothing"]}, devices=2)
    ends["two"] = [finish(process) for process in both]
    return ends


def test_the_steps_are_those_of_one_device(moved, alone: Path) -> None:
    ours, expected = metrics(moved["directory"]), metrics(alone)
    assert len(ours) == len(expected) == 5
    for line, same in zip(ours, expected, strict=True):
        assert line.keys() == same.keys()
        for name in EXACT & line.keys():
            assert line[name] == same[name]
        for name in ROUNDED & line.keys():
            assert line[name] == pytest.approx(same[name], rel=TOLERANCE), (name, line["step"])
    assert expected[-2]["loss"] < expected[0]["loss"] - 0.1  # it has learnt meanwhile


def test_process_0_reports_and_the_others_need_no_directory(moved, home: Path) -> None:
    (code, out, err), along = moved["two"]
    assert code == 0, err
    assert json.loads(out)["steps"] == metrics(moved["directory"])[-1]["step"]
    assert err[0].startswith("Waiting for 2 processes at 127.0.0.1:")
    assert re.match(r"Training moved on 4 x CPU, \d+ cores?: ", err[1])
    assert along == (0, "", [JOINED])
    assert not (home / "nothing").exists()


def test_minutes_are_the_same_steps_in_all_processes_and_a_signal_to_one_saves_all(
    home: Path, corpus: Path, pair
) -> None:
    settings = {"model": MODEL, "training": TRAINING | {"evaluations": 1000}}
    (home / "often.toml").write_text(
        hyperparameters.dump(hyperparameters.replace(hyperparameters.Config(), **settings))
    )
    directory = home / "minutes"
    both = pair(corpus, "--config", home / "often.toml", "--out", directory, "--minutes", 5, devices=2)
    until_measured(both[0])
    both[1].send_signal(signal.SIGTERM)
    code, out, err = finish(both[0])
    assert (code, out) == (130, "")
    assert err[-1] == f"Saved. Continue with: charrepl-train {corpus} --out {directory} --resume"
    assert finish(both[1]) == (130, "", [JOINED])
    run = json.loads((directory / "run.json").read_text())
    assert run["total_steps"] > metrics(directory)[-1]["step"] > 1
    assert [path.name for path in (directory / "checkpoints").glob("latest-*")]


def test_a_process_that_dies_ends_the_others_with_one_line(home: Path, corpus: Path, pair) -> None:
    never = home / "never"
    os.mkfifo(never)
    both = pair(only={0: [corpus], 1: [never]})
    assert both[1].stderr is not None
    assert both[1].stderr.readline().rstrip() == JOINED
    both[1].kill()
    code, out, err = finish(both[0])
    assert (code, out, err[1:]) == (1, "", [LOST])


def test_what_process_0_cannot_do_ends_the_others(alone: Path, corpus: Path, pair) -> None:
    both = pair(corpus, "--name", "alone")
    code, _, err = finish(both[0])
    assert (code, len(err)) == (1, 2)
    assert err[1].startswith("Error: a model is already in ")
    assert finish(both[1]) == (1, "", [JOINED, LOST])


def test_processes_that_read_different_texts_say_so(corpus: Path, tmp_path: Path, pair) -> None:
    other = tmp_path / "other.txt"
    other.write_text(corpus.read_text() + "!")
    both = pair("--out", tmp_path / "run", only={0: [corpus], 1: [other]})
    for code, _, err in map(finish, both):
        assert code == 1
        assert err[-1].startswith("Error: process 1 has read another text than process 0: ")
        assert len(err) == 2
    assert not (tmp_path / "run").exists()


def test_processes_that_do_not_meet_end_with_one_line(corpus: Path, start: Start) -> None:
    impatient = f"from charrepl_train.run import distributed_run; distributed_run._JOIN_S = 1; {MAIN}"
    address = f"127.0.0.1:{free_port()}"
    group = ["--coordinator", address, "--processes", 2, "--process-id", 1]
    code, out, err = finish(start(corpus, *group, program=impatient))
    assert (code, out, len(err)) == (1, "", 1)
    assert err[0].startswith(f"Error: not all processes met at {address} within 1 s: check that ")


def test_a_loss_is_said_once_whichever_thread_notices_it() -> None:
    lines = distributed_run._Lines(debug=True)
    lines.at_abort(LOST)
    with ThreadPoolExecutor() as pool:
        assert sorted(pool.map(lambda _: lines.take(), range(100)))[-2:] == ["", LOST]


def test_the_options_of_a_group_go_together() -> None:
    def group(coordinator=None, count=None, number=None, distributed=False):
        return distributed_run.group(coordinator, count, number, distributed=distributed)

    assert group() is None
    assert group(distributed=True) == (None, None, None)
    assert group("[::1]:7654", 2, 1) == ("[::1]:7654", 2, 1)
    for wrong, why in (
        (("host:1", 2), "go together"),
        ((None, 2, 0), "go together"),
        (("host:1", 2, 2), "the last of 2 is 1"),
        (("host", 2, 1), "is HOST:PORT"),
        (("host:0", 2, 1), "is HOST:PORT"),
        (("host:1", 2, 1, True), "not both"),
    ):
        with pytest.raises(click.UsageError, match=why):
            group(*wrong)


def test_an_address_that_cannot_be_used_is_named() -> None:
    with pytest.raises(CharreplError, match=r"host nowhere\.invalid is not known here"):
        distributed_run._check_address("nowhere.invalid:7654", listens=False)
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        distributed_run._check_address(f"127.0.0.1:{port}", listens=False)
        with pytest.raises(
            CharreplError, match=r"cannot listen at 127\.0\.0\.1:\d+ \(Address already in use\)"
        ):
            distributed_run._check_address(f"127.0.0.1:{port}", listens=True)


def test_rows_of_a_batch_are_those_of_the_whole_batch() -> None:
    config = hyperparameters.TrainingConfig(batch_size=6, sequence_length=5, reset_every=10.0)
    batches = batching.Batches(np.arange(500, dtype=np.uint16), config)
    whole, part = batches.many(3, 4), batches.many(3, 4, range(4, 8))
    np.testing.assert_array_equal(part.windows[:, :2], whole.windows[:, 4:])
    np.testing.assert_array_equal(part.resets[:, :2], whole.resets[:, 4:])
    assert not part.windows[:, 2:].any()
    assert part.windows.shape[1] == 4


def test_devices_speak_once_a_step(moved, home: Path) -> None:
    """The compiled program sums the gradient in one go, and exchanges nothing within the recurrence."""
    (program,) = (home / "programs").glob("*jit_update*after_optimizations.txt")
    exchanges = re.findall(r"\b(all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", program.read_text())
    assert exchanges == ["all-reduce"]
