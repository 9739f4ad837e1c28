"""What ends a training, what does not, and what of its time counts."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from charrepl_train.run import interruption
from charrepl_train.run.interruption import EndedError, Interruption
from tests.charrepl.screen import Screen
from tests.charrepl_train.command import Start, finish, run_file


@pytest.fixture
def dispositions() -> Iterator[None]:
    """Puts back what signals did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2"])
@pytest.mark.usefixtures("dispositions")
def test_whatever_would_end_the_process_is_a_wish_to_stop(name: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with Interruption() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        for another in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):  # at once, as shells and schedulers do
            os.kill(os.getpid(), another)
        assert stopped()
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("dispositions")
def test_another_ctrl_c_a_moment_later_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_TOGETHER_S", 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Interruption() as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("dispositions")
def test_signals_that_were_ignored_stay_ignored() -> None:
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with Interruption() as stopped:
        for number in (signal.SIGHUP, signal.SIGINT):
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is signal.SIG_IGN
        assert not stopped()


@pytest.mark.usefixtures("dispositions")
def test_while_there_is_nothing_to_save_a_signal_ends_the_training_where_that_is_safe() -> None:
    with Interruption() as stopped:
        os.kill(os.getpid(), signal.SIGHUP)  # in the import of a library, which an exception would crash
        with pytest.raises(EndedError) as ended:
            stopped.check()
        assert ended.value.code == 129
    with Interruption() as stopped:
        with pytest.raises(EndedError), stopped.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)  # disturbs nothing that is cleared away


@pytest.mark.usefixtures("dispositions")
def test_a_signal_that_waits_for_a_long_call_is_answered_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_PATIENCE_S", 0)
    monkeypatch.setattr(interruption, "_TOGETHER_S", 0)
    said: queue.Queue[object] = queue.Queue()
    monkeypatch.setattr(os, "_exit", said.put)
    with Interruption() as stopped:
        stopped.tell = said.put
        for expected in (["Stopping once what is being computed is done"], [interruption.NOT_SAVED, 130]):
            stopped.noticed(signal.SIGINT)
            for what in expected:
                found = said.get(timeout=10)
                assert found == what or str(found).startswith(str(what))
    assert said.empty()


def test_a_signal_while_the_text_is_read_ends_the_training_in_one_line(
    start: Start, tmp_path: Path, settings: Path
) -> None:
    text = tmp_path / "text"
    os.mkfifo(text)
    process = start(text, "--config", settings, "--out", tmp_path / "run")
    with text.open("w") as writing:
        writing.write("To be, or not to be.\n" * 10_000)  # more than fits in before it reads
        process.terminate()
        assert finish(process) == (143, "", ["Nothing was saved: the training had not begun."])
    assert not (tmp_path / "run").exists()


COUNTS = """
import sys, time
from charrepl_train.run.running_time import RunningTime
with RunningTime() as clock:
    began, here = clock(), time.monotonic()
    print("running", flush=True)
    for line in sys.stdin:
        print(clock() - began, time.monotonic() - here, flush=True)
"""


def test_the_time_during_which_a_process_is_stopped_does_not_count() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COUNTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        stopped_s = 0.0
        for _ in range(2):
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            began = time.monotonic()
            time.sleep(1)  # the time itself is what is measured
            stopped_s += time.monotonic() - began
            process.send_signal(signal.SIGCONT)
            print(file=process.stdin, flush=True)
            counted, passed = map(float, process.stdout.readline().split())
            assert passed >= stopped_s
            assert passed - counted == pytest.approx(stopped_s, abs=0.5)
        process.stdin.close()


def test_a_reader_of_standard_error_that_leaves_ends_nothing(
    start: Start, tmp_path: Path, settings: Path, corpus: Path
) -> None:
    process = start(corpus, "--config", settings, "--out", tmp_path / "run")
    assert process.stderr is not None
    assert any(line.startswith("Training run on ") for line in process.stderr)
    process.stderr.close()
    assert finish(process) == (0, "", [])
    assert run_file(tmp_path / "run")["finished"]


def test_a_terminal_may_stop_a_training_halt_its_output_and_go(
    home: Path, tmp_path: Path, settings: Path, corpus: Path
) -> None:
    directory = tmp_path / "run"
    env = {**os.environ, "TERM": "xterm-256color", "FORCE_COLOR": "1", "COLUMNS": "300"}
    # Evaluations every second or two.
    often = tmp_path / "often.toml"
    often.write_text(settings.read_text().replace("evaluations = 6", "evaluations = 100"))
    command = f"{sys.executable} -m charrepl_train {corpus} --config {often} --out {directory}"
    with Screen(["bash", "--norc", "--noprofile", "-i"], env=env, columns=100, rows=40) as screen:
        screen.type(f"{command} --epochs 12000\r")
        screen.wait_for("epoch ").wait_for(" left")
        screen.type("\x1a")
        screen.wait_for("Stopped")
        stopped = len(screen.written)
        screen.type("fg\r")
        screen.wait_for(lambda screen: b" left" in screen.written[stopped:])
        screen.type("\x13")  # Ctrl-S
        screen.take_in(0.5)
        measured = (
            (directory / "metrics.jsonl").stat().st_size if (directory / "metrics.jsonl").exists() else 0
        )
        screen.wait_for(lambda _: (directory / "metrics.jsonl").stat().st_size > measured)
        assert b"?25l" not in screen.written
    with filelock.FileLock(directory / "train.lock", timeout=60):  # once it has ended
        assert list((directory / "checkpoints").glob("latest-*"))
        assert not run_file(directory)["finished"]
