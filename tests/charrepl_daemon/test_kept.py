"""Programs that are kept from one start to the next: found again, never trusted too far."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from charrepl import paths
from charrepl.errors import CharreplError
from charrepl.protocol import Decoding
from charrepl_daemon import kept
from charrepl_daemon.compiles import Compiles
from charrepl_daemon.engine import Engine
from tests.charrepl_daemon import asked

ONES = np.ones(3, np.float32)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    paths.compilation_cache_dir().mkdir(mode=0o700)
    before = jax.config.values["jax_compilation_cache_dir"]  # of a test that trained in this process
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()  # JAX asks once whether there is one
    yield paths.compilation_cache_dir()
    jax.config.update("jax_compilation_cache_dir", before)
    reset_cache()


@pytest.fixture(scope="module")
def compiles() -> Compiles:
    return Compiles(threading.current_thread())


def doubled(*, name: str = "double", **options) -> list[float]:
    program = kept.program(lambda values: 2 * values, ONES, name=name, **options)
    return program(ONES).tolist()


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.program"))


def written(engine: Engine, text: str) -> tuple[str, list[float]]:
    drawn = asked.ghost(engine, text, max_chars=24, decoding=Decoding(temperature=0.7, seed=5))
    while not drawn.done:
        engine.step([drawn])
    engine.release(drawn)
    return drawn.text, drawn.log_probs


def test_a_model_that_was_loaded_before_needs_no_compiler_and_writes_the_same(model_dir, compiles):
    def load() -> tuple[Engine, int]:
        before = compiles.count
        engine = Engine(model_dir, cache_bytes=4 << 20)
        for batch in engine.batches:
            engine.compile(batch)
        engine.make("score")
        engine.make("search")
        return engine, compiles.count - before

    first, compiled = load()
    again, recompiled = load()
    assert compiled > 0
    assert recompiled == 0
    assert written(again, "every cup ") == written(first, "every cup ")
    assert again.score("every cup", b"", "") == first.score("every cup", b"", "")


def test_one_that_fails_when_it_is_called_stands_in_the_way_of_one_load_only(model_dir, directory):
    engine = Engine(model_dir, cache_bytes=4 << 20)
    (right,) = directory.glob("serve-*")
    engine.compile(8)
    (wrong,) = set(directory.glob("serve-*")) - {right}
    right.write_bytes(wrong.read_bytes())
    with pytest.raises(CharreplError, match="the device failed"):
        Engine(model_dir, cache_bytes=4 << 20)
    assert written(Engine(model_dir, cache_bytes=4 << 20), "every cup ")[0]


@pytest.mark.parametrize("damage", [b"", b"half", None], ids=["empty", "other", "half"])
def test_a_damaged_one_is_compiled_anew_and_written_anew(directory, compiles, caplog, damage):
    doubled()
    (path,) = files(directory)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    before = compiles.count
    with caplog.at_level(logging.WARNING):
        assert doubled() == [2, 2, 2]
    assert f"{path.name} is compiled anew" in caplog.text
    assert compiles.count > before
    caplog.clear()
    assert doubled() == [2, 2, 2]
    assert not caplog.records


def test_what_it_is_made_of_tells_one_from_another(directory, monkeypatch):
    assert doubled() == doubled()
    assert len(files(directory)) == 1
    doubled(constants=(1,))
    doubled(name="other")
    kept.program(lambda values: 2 * values, jnp.ones(4), name="double")
    assert len(files(directory)) == 4
    kept._surroundings.cache_clear()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    try:
        doubled()
    finally:
        kept._surroundings.cache_clear()
    assert len(files(directory)) == 5


def test_those_not_used_for_longest_make_way(directory, monkeypatch):
    monkeypatch.setattr(kept, "_MOST", 3)
    for n in range(3):
        doubled(name=f"n{n}")
        (path,) = directory.glob(f"n{n}-*")
        os.utime(path, (n, n))
    doubled(name="n0")  # used again
    doubled(name="n3")
    assert [path.name[:2] for path in files(directory)] == ["n0", "n2", "n3"]


def test_where_it_cannot_be_kept_it_is_compiled_and_that_is_said(directory, caplog):
    directory.rmdir()
    directory.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert doubled() == [2, 2, 2]
    assert "is not kept: " in caplog.text


def test_what_jax_may_have_had_in_its_own_cache_is_not_written_down_again(directory, tmp_path):
    """It would be loaded, and fail when it is called."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "jax"))
    assert doubled() == [2, 2, 2]
    assert files(directory) == []


ON_THE_FIRST = """
import jax, numpy
from charrepl_daemon import kept
ones = numpy.ones(3, numpy.float32)
program = kept.program(lambda values: 2 * values, ones, name="double")
print(len(jax.devices()), program(ones).tolist())
"""


def test_where_there_are_several_devices_it_is_for_the_first(directory, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    for _ in range(2):  # compiled, and as it was kept
        done = subprocess.run([sys.executable, "-c", ON_THE_FIRST], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "2 [2.0, 2.0, 2.0]\n"), done.stderr
    assert len(files(directory)) == 1


def test_only_programs_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    place = paths.compilation_cache_dir()
    place.mkdir(parents=True)
    key = "0123456789abcdef01234567"
    for name in (f"serve-{key}.program", f"serve-{key}.program-1-2", "notes.program.txt", "serve.program"):
        (place / name).touch()
    kept.forget()
    assert sorted(path.name for path in place.iterdir()) == ["notes.program.txt", "serve.program"]
