"""What the rooms' tests share: a small text, a reference LSTM, and models trained in a second."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
import pytest
from hypothesis import settings

from charrepl_train.devices import jax_setup
from tests.float64_lstm import as_float64, cell

if TYPE_CHECKING:
    from charrepl_train.run.loop import Trainer

jax_setup.leave_out_numbers()  # before a test imports jax

# Our programs leave alone what was ignored when they were started, as in the background of a script; the
# tests send these signals.
for ignored in (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else signal.SIG_DFL)

# Time is no property of the code under test here; a failure prints what reproduces it.
settings.register_profile("charrepl", deadline=None, print_blob=True)
settings.load_profile("charrepl")

CORPUS = Path(__file__).parent / "corpus.txt"


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test leaves where a user's models and programs would be, it is not this user's place."""
    with pytest.MonkeyPatch.context() as patch:
        live_in(tmp_path_factory.mktemp("places"), patch)
        yield


def live_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Has every place of a user be below `home`."""
    for place in ("DATA", "CONFIG", "RUNTIME"):
        patch.setenv(f"CHARREPL_{place}_DIR", str(home / place.lower()))


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can enter. pytest makes its own private again whenever it starts."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Store:
    """Compiled programs, which take most of a small model's training and loading: kept for the tests after.

    All processes of a run of tests share it. A file in it is whole and is never changed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    @contextlib.contextmanager
    def lent_to(self, place: Path, programs: str = "*.program") -> Iterator[None]:
        """Has in the directory `place` what there is, and takes what it has more in the end.

        programs: which, by name. Those of `charrepl-daemon` unless said. What else is beside them, marks of
        programs that a killed daemon was trying for one, is nobody else's.
        """
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self._directory.glob(programs):
            shutil.copy2(file, place)  # a test may damage its own
        yield
        self.take(place, programs)

    def take(self, place: Path, programs: str = "*.program") -> None:
        """Takes what the directory `place` has more."""
        for file in place.glob(programs):
            new = self._directory.with_name(f"{file.name}-{os.getpid()}")
            if not (self._directory / file.name).exists():
                shutil.copy2(file, new)
                new.replace(self._directory / file.name)


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of a run of tests have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def store(common: Path) -> Store:
    """Where all tests' compiled programs are."""
    return Store(common / "compiled")


Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(common: Path) -> Once:
    """Makes a directory for all processes of a run of tests: the first to ask for its name fills it."""

    def once(name: str, fill: Callable[[Path], None]) -> Path:
        directory, new = common / name, common / f"{name}-new"
        with filelock.FileLock(common / f"{name}.lock"):
            if not directory.exists():
                shutil.rmtree(new, ignore_errors=True)  # of one that failed
                new.mkdir()
                fill(new)
                new.rename(directory)
        return directory

    return once


@pytest.fixture(scope="session")
def corpus() -> Path:
    """A file of 1,919 characters, rhymed and repetitive, written for these tests."""
    return CORPUS


def textbook_lstm(params: dict[str, Any], tokens: Any) -> tuple[np.ndarray, np.ndarray]:
    """The carry [batch, layers, 2, hidden] and logits [batch, time, vocabulary], plainly, in float64."""
    tokens = np.asarray(tokens)
    params = as_float64(params)
    layers = [params["layers"][str(n)] for n in range(len(params["layers"]))]
    output = params["output"]
    batch, time = tokens.shape
    carry = np.zeros((batch, len(layers), 2, len(layers[0]["w_hh"])))
    logits = np.zeros((batch, time, len(output["b"])))
    for t in range(time):
        x = np.eye(len(layers[0]["w_ih"]))[tokens[:, t]]
        for n, weights in enumerate(layers):
            x, c = cell(weights, x, carry[:, n, 0], carry[:, n, 1])
            carry[:, n] = np.stack([x, c], axis=1)
        read = carry[:, :, 0].reshape(batch, -1)[:, -len(output["w"]) :]  # the last layer's h, or all
        logits[:, t] = read @ output["w"] + output["b"]
    return carry, logits


@pytest.fixture(scope="session")
def reference() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A float64 numpy LSTM to hold everything faster against: see `textbook_lstm`."""
    return textbook_lstm


@pytest.fixture(scope="session")
def make_trainer() -> Callable[..., Trainer]:
    """Makes a trainer in a directory; settings of the model and the training, and a split, by keyword."""
    from charrepl_train import hyperparameters
    from charrepl_train.model_directory.records import Run
    from charrepl_train.run.loop import Trainer
    from charrepl_train.text import split
    from charrepl_train.text.corpus import read

    def make(
        directory: Path,
        text: str,
        *,
        layers: int = 1,
        hidden_size: int = 16,
        output_layers: str = "last",
        rule: Any = None,
        **training: Any,
    ) -> Trainer:
        config = hyperparameters.replace(
            hyperparameters.Config(),
            model={"layers": layers, "hidden_size": hidden_size, "output_layers": output_layers},
            training={"batch_size": 4, "sequence_length": 16, "epochs": 1.0, **training},
        )
        file = directory.with_suffix(".txt")
        file.write_text(text, encoding="utf-8")
        with read([file], near=directory) as kept:
            run = Run(corpus=[file.name], corpus_digest=kept.digest, total_steps=0)
            trainer = Trainer(directory, config, run, kept.corpus(config.training, rule=rule or split.split))
        run.total_steps = max(1, round(config.training.epochs * trainer.batches.steps_per_epoch))
        trainer.write_settings()
        return trainer

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, make_trainer: Callable[..., Trainer]) -> Trainer:
    """A finished run of 1 x 24 on the small text. Its directory is shared: copy it to change it."""
    directory = tmp_path_factory.mktemp("trained") / "lamp"
    trainer = make_trainer(
        directory,
        CORPUS.read_text() * 4,
        hidden_size=24,
        epochs=10.0,
        learning_rate=0.02,
        dropout=0.0,
        evaluations=2,
        sample_characters=0,
    )
    for _ in trainer.train():
        pass
    trainer.finish()
    return trainer
