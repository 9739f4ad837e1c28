"""A small real model, and daemons that serve it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LINES = """\
MASTER:
The kettle sings, the kitchen fills with steam, and every cup is warm.

COOK:
And every cup is warm, good master, save the one you hold in your hand.

MASTER:
Then fill it, cook, and fill it to the brim; the road is long and wet.

COOK:
The road is long, the night is wet, and I have filled it to the brim.
"""


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model of 2 x 24, which has learnt a few lines by heart."""
    from charrepl_train import data
    from charrepl_train.config import Config, ModelConfig, TrainingConfig
    from charrepl_train.loop import Run, Trainer
    from charrepl_train.vocab import Vocabulary

    directory = tmp_path_factory.mktemp("models") / "kettle"
    text = LINES * 8
    training = TrainingConfig(
        batch_size=8, sequence_length=32, epochs=24, learning_rate=0.02, dropout=0, evaluations=1, held_out=0
    )
    config = Config(model=ModelConfig(layers=2, hidden_size=24), training=training)
    vocabulary = Vocabulary.of(text, max_characters=100)
    run = Run(corpus=["kettle.txt"], corpus_digest=data.digest(text), total_steps=0)
    trainer = Trainer(directory, config, run, vocabulary, text)
    run.total_steps = int(training.epochs * trainer.batches.steps_per_epoch)
    trainer.write_settings()
    for _ in trainer.train():
        pass
    trainer.finish()
    return directory


@contextlib.contextmanager
def _places(directory: Path, model_dir: Path) -> Iterator[Path]:
    runtime = Path(tempfile.mkdtemp(prefix="cr-"))  # short: a socket's path has 107 bytes
    shutil.copytree(model_dir, directory / "models" / "kettle")
    shutil.copytree(_compiled(), directory / "compiled", dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARREPL_DATA_DIR", str(directory))
        patch.setenv("CHARREPL_CONFIG_DIR", str(directory / "config"))
        patch.setenv("CHARREPL_RUNTIME_DIR", str(runtime))
        yield directory
        from charrepl_daemon import process

        found = process.running()
        if found is not None and found.pid:
            os.kill(found.pid, signal.SIGKILL)
    # The programs a test compiled serve the tests after it.
    shutil.copytree(directory / "compiled", _compiled(), dirs_exist_ok=True)
    shutil.rmtree(runtime, ignore_errors=True)


_kept: list[Path] = []


def _compiled() -> Path:
    if not _kept:
        _kept.append(Path(tempfile.mkdtemp(prefix="cr-compiled-")))
    return _kept[0]


@pytest.fixture(scope="session", autouse=True)
def _remove_compiled() -> Iterator[None]:
    yield
    for path in _kept:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def places() -> Callable[[Path, Path], contextlib.AbstractContextManager[Path]]:
    """Makes places of its own with the model `kettle` in them; daemons there are killed in the end."""
    return _places


@pytest.fixture
def home(tmp_path: Path, model_dir: Path) -> Iterator[Path]:
    """Places of its own for one test."""
    with _places(tmp_path, model_dir) as home:
        yield home


Command = Callable[..., subprocess.CompletedProcess[str]]


def _daemon_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "charrepl_daemon", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def daemon_command(home: Path) -> Command:
    """Runs `charrepl-daemon` with some arguments in the test's places."""
    return _daemon_command


@pytest.fixture(scope="session")
def start_daemon() -> Callable[[], Command]:
    """Starts a daemon in whatever places are set."""

    def start() -> Command:
        started = _daemon_command("start")
        assert started.returncode == 0, started.stderr
        return _daemon_command

    return start


@pytest.fixture
def daemon(home: Path, start_daemon: Callable[[], Command]) -> Command:
    """A running daemon; returns its command."""
    return start_daemon()
