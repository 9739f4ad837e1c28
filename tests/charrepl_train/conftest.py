"""What the tests of `charrepl-train` share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from charrepl.system import paths
from charrepl_train.devices import jax_setup, xla_flags
from tests.charrepl_train.command import TINY, Start, commands, train
from tests.conftest import Store, live_in

# What is computed is tested as it is compiled for users. What is done with it is the same in code that is not
# optimised, which takes a third less time to test.
COMPUTES = {"model", "optimisation"}
UNOPTIMISED = (  # as `jax_disable_most_optimizations`: so processes find each other's programs
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    f"--xla_test_all_input_layouts=false {xla_flags.OURS}"
)


@pytest.fixture(scope="module", autouse=True)
def _optimised(request: pytest.FixtureRequest) -> Iterator[None]:
    """Has XLA optimise the programs of the folders that compute, and not those of the others."""
    jax.devices()  # XLA has read its flags: those below are for processes that tests start
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name not in COMPUTES:
            patch.setenv("XLA_FLAGS", UNOPTIMISED)
            jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, store: Store, _optimised: None) -> Iterator[Path]:
    """The places of a file's tests, with the compiled programs of those before in them."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        live_in(home, patch)
        patch.setenv("COLUMNS", "80")
        (home / "data" / "models").mkdir(parents=True)
        with store.lent_to(paths.compilation_cache_dir(), "*-cache"):  # of JAX
            jax_setup.prepare()
            reset_cache()  # JAX asks once where it is
            yield home
        jax.config.update("jax_compilation_cache_dir", None)
        reset_cache()


@pytest.fixture(scope="module")
def settings(home: Path) -> Path:
    """A file of settings with which a training takes seconds."""
    path = home / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts `charrepl-train` as a process of its own."""
    with commands() as start:
        yield start


@pytest.fixture(scope="module")
def whole(home: Path, settings: Path, corpus: Path) -> Path:
    """The directory of a run that nothing disturbed."""
    result = train(corpus, "--config", settings, "--name", "whole")
    assert result.exit_code == 0, result.stderr
    return home / "data" / "models" / "whole"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(whole, tmp_path / "copy")
