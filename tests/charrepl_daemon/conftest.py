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
from typing import Any

import pytest

from charrepl.system import paths
from charrepl_train.text import split
from tests.charrepl_daemon.network_daemon import Site, listen
from tests.charrepl_daemon.network_machine import Machine
from tests.conftest import Once, Store
from tests.waiting import until

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
PROGRAMS = 5  # that a daemon makes without being asked: zeros, score, serve for each batch; a GPU has more


@pytest.fixture(scope="module", autouse=True)
def _programs(store: Store) -> Iterator[None]:
    """Has the engines of a file's own process find the programs of those before."""
    with store.lent_to(paths.compilation_cache_dir()):
        yield


def _train(directory: Path, make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(
        directory,
        LINES * 8,
        layers=2,
        hidden_size=24,
        batch_size=8,
        sequence_length=32,
        epochs=40.0,
        learning_rate=0.02,
        dropout=0.0,
        evaluations=1,
        held_out=0.0,
        rule=split.kept(None),  # all but the last lines are learnt
    )
    for _ in trainer.train():
        pass
    trainer.finish()


@pytest.fixture(scope="session")
def model_dir(
    tmp_path_factory: pytest.TempPathFactory, once: Once, make_trainer: Callable[..., Any], store: Store
) -> Path:
    """A trained model of 2 x 24, which has learnt a few lines by heart.

    It is the same in all processes. The programs with which a daemon serves it are made once, too: many tests
    end their daemon before it has made them all.
    """

    def fill(directory: Path) -> None:
        _train(directory / "kettle", make_trainer)
        nothing = Store(tmp_path_factory.mktemp("nothing"))
        with _places(tmp_path_factory.mktemp("first"), directory / "kettle", nothing) as home:
            _start_daemon()
            until(lambda: len(list((home / "compiled").glob("*.program"))) >= PROGRAMS)
            store.take(home / "compiled")

    directory = tmp_path_factory.mktemp("models") / "kettle"
    return shutil.copytree(once("kettle", fill) / "kettle", directory)


Places = Callable[[Path], contextlib.AbstractContextManager[Path]]


@contextlib.contextmanager
def _places(directory: Path, model_dir: Path, store: Store) -> Iterator[Path]:
    runtime = Path(tempfile.mkdtemp(prefix="cr-"))  # short: a socket's path has 107 bytes
    shutil.copytree(model_dir, directory / "models" / "kettle")
    (directory / "opened").write_text("kettle\n")  # not the first time, of which the prompt would tell
    with store.lent_to(directory / "compiled"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARREPL_DATA_DIR", str(directory))
        patch.setenv("CHARREPL_CONFIG_DIR", str(directory / "config"))
        patch.setenv("CHARREPL_RUNTIME_DIR", str(runtime))
        yield directory
        from charrepl_daemon.lifecycle import control

        found = control.running()
        if found is not None and found.pid:
            os.kill(found.pid, signal.SIGKILL)
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(scope="session")
def places(model_dir: Path, store: Store) -> Places:
    """Makes places of its own with the model `kettle` in them; daemons there are killed in the end."""
    return lambda directory: _places(directory, model_dir, store)


@pytest.fixture
def home(tmp_path: Path, places: Places) -> Iterator[Path]:
    """Places of its own for one test."""
    with places(tmp_path) as home:
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


def _start_daemon(*arguments: str) -> Command:
    started = _daemon_command("start", *arguments)
    assert started.returncode == 0, started.stderr
    return _daemon_command


@pytest.fixture
def daemon_command(home: Path) -> Command:
    """Runs `charrepl-daemon` with some arguments in the test's places."""
    return _daemon_command


@pytest.fixture
def command(shared_home: Path) -> Command:
    """The same in the file's places."""
    return _daemon_command


@pytest.fixture(scope="session")
def start_daemon() -> Callable[..., Command]:
    """Starts a daemon in whatever places are set, with more arguments if given."""

    return _start_daemon


@pytest.fixture(scope="module")
def shared_home(
    tmp_path_factory: pytest.TempPathFactory,
    places: Places,
) -> Iterator[Path]:
    """Places of its own for all tests of a file."""
    with places(tmp_path_factory.mktemp("home")) as home:
        yield home


@pytest.fixture(scope="module")
def shared_daemon(shared_home: Path, start_daemon: Callable[..., Command]) -> Command:
    """One daemon for all tests of a file: none of them may harm the ones after it."""
    return start_daemon()


@pytest.fixture
def living(shared_home: Path, start_daemon: Callable[..., Command]) -> Command:
    """A daemon for tests that end it: in the file's places, started anew if none runs there."""
    from charrepl_daemon.lifecycle import control

    return start_daemon() if control.running() is None else _daemon_command


@pytest.fixture
def daemon(home: Path, start_daemon: Callable[..., Command]) -> Command:
    """A running daemon; returns its command."""
    return start_daemon()


class Altered(subprocess.Popen[str]):
    """A daemon in this terminal, ready, in whose process some code ran first, and what it said."""

    def __init__(self, code: str, *, prefix: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
        code += "\nimport sys; from charrepl_daemon.cli.main import main"
        code += f"\nmain(['start', '--foreground', *{options!r}, '--ready-fd', sys.argv.pop()])"
        read_end, write_end = os.pipe()
        super().__init__(
            [*prefix, sys.executable, "-c", code, str(write_end)],
            pass_fds=[write_end],
            stderr=subprocess.DEVNULL,
            text=True,
        )
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            said = pipe.read()
        if said != "ready\n":
            self.wait()
            raise AssertionError(said)


@pytest.fixture
def altered_daemon(shared_home: Path) -> Iterator[Callable[..., Altered]]:
    """Starts daemons in the file's places that are not as they should be; see `Altered`."""
    from charrepl_daemon.lifecycle import control

    with contextlib.ExitStack() as running:

        def start(code: str, **how: tuple[str, ...]) -> Altered:
            control.stop()
            daemon = Altered(code, **how)
            running.callback(daemon.wait)
            running.callback(daemon.kill)
            return daemon

        yield start


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Machine]:
    """Makes machines by name, each with keys of its own."""
    return lambda name: Machine(tmp_path / f"config-{name}")


@pytest.fixture(scope="module")
def site(shared_home) -> Site:
    """A daemon on its ipc socket and on tcp, for all tests here: none may harm the ones after it."""
    server = Machine(shared_home / "config-server")
    server.make_key()
    server.allow("owner", f"{server.key} admin")
    return listen(server)


@pytest.fixture
def guest(site, machine, request) -> Machine:
    """A machine that is allowed, and trusts the site."""
    guest = machine("guest")
    allowed = site.server.allow("guest", guest.make_key())
    guest.trust(site.endpoint, site.server.key)
    request.addfinalizer(lambda: allowed.unlink(missing_ok=True))
    return guest


@pytest.fixture
def admin(site) -> Machine:
    """The server's own machine, whose key is an admin's."""
    site.server.trust(site.endpoint, site.server.key)
    return site.server
