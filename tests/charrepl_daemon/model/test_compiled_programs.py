"""Programs that are kept from one start to the next: found again, never trusted too far."""

from __future__ import annotations

import gc
import logging
import os
import platform
import signal
import struct
import subprocess
import sys
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model import compiled_programs
from charrepl_daemon.model.compile_count import CompileCounter
from charrepl_train.devices import jax_setup
from tests.charrepl_daemon import engine_requests

ONES = np.ones(3, np.float32)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    paths.compilation_cache_dir().mkdir(mode=0o700)
    # An engine that another test left behind would share its programs until it is collected.
    monkeypatch.setattr(compiled_programs, "_in_use", weakref.WeakValueDictionary())
    before = jax.config.values["jax_compilation_cache_dir"]  # of a test that trained in this process
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()  # JAX asks once whether there is one
    yield paths.compilation_cache_dir()
    jax.config.update("jax_compilation_cache_dir", before)
    reset_cache()


@pytest.fixture(scope="module")
def compiles() -> CompileCounter:
    return CompileCounter(threading.current_thread())


def doubled(*, name: str = "double", **options) -> list[float]:
    program = compiled_programs.program(lambda values: 2 * values, ONES, name=name, **options)
    return program(ONES).tolist()


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.program"))


def written(engine: Engine, text: str) -> tuple[str, list[float]]:
    drawn = engine_requests.ghost(engine, text, max_chars=24, decoding=Decoding(temperature=0.7, seed=5))
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

    def behaviour(engine: Engine) -> tuple[object, object]:
        return written(engine, "every cup "), engine.score("every cup", b"", "")

    first, compiled = load()
    before = behaviour(first)
    del first
    gc.collect()  # else its programs would be shared
    again, recompiled = load()
    assert compiled > 0
    assert recompiled == 0
    assert behaviour(again) == before


def test_models_of_one_shape_share_their_programs_for_as_long_as_one_is_loaded(model_dir, directory):
    first = Engine(model_dir, cache_bytes=4 << 20)
    program = weakref.ref(first._compiled[1])
    for path in files(directory):
        path.unlink()
    second = Engine(model_dir, cache_bytes=4 << 20)
    assert second._compiled[1] is program()
    assert not files(directory)  # neither read nor made again
    del first
    gc.collect()
    assert program()
    assert written(second, "every cup ")[0]
    del second
    gc.collect()
    assert program() is None


def test_one_that_fails_when_it_is_called_stands_in_the_way_of_one_load_only(model_dir, directory):
    engine = Engine(model_dir, cache_bytes=4 << 20)
    (right,) = directory.glob("serve-*")
    engine.compile(8)
    (wrong,) = set(directory.glob("serve-*")) - {right}
    del engine
    gc.collect()
    right.write_bytes(wrong.read_bytes())
    with pytest.raises(CharreplError, match="the device failed"):
        Engine(model_dir, cache_bytes=4 << 20)
    assert written(Engine(model_dir, cache_bytes=4 << 20), "every cup ")[0]


def test_a_program_is_compiled_anew_after_a_change_to_the_source_in_whatever_folder(tmp_path):
    place = tmp_path / "package" / "folder" / "within"
    place.mkdir(parents=True)
    seen = {compiled_programs.source_digest([tmp_path / "package"])}
    for change in (
        lambda: (place / "module.py").write_text("one = 1\n"),
        lambda: (place / "module.py").write_text("one = 2\n"),
        lambda: (place / "module.py").rename(place.parent / "module.py"),
        lambda: (place.parent / "module.py").rename(place.parent / "other.py"),
    ):
        change()
        seen.add(compiled_programs.source_digest([tmp_path / "package"]))
    assert len(seen) == 5


@pytest.mark.parametrize("damage", [b"", b"half", None], ids=["empty", "other", "half"])
def test_a_damaged_one_is_compiled_anew_and_written_anew(directory, compiles, caplog, damage):
    doubled()
    (path,) = files(directory)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    before = compiles.count
    with caplog.at_level(logging.WARNING):
        assert doubled() == [2, 2, 2]
    assert f"{path.name} is compiled again" in caplog.text
    assert compiles.count > before
    caplog.clear()
    assert doubled() == [2, 2, 2]
    assert not caplog.records


def test_what_it_is_made_of_tells_one_from_another(directory, monkeypatch):
    assert doubled() == doubled()
    assert len(files(directory)) == 1
    doubled(constants=(1,))
    doubled(name="other")
    compiled_programs.program(lambda values: 2 * values, jnp.ones(4), name="double")
    assert len(files(directory)) == 4
    compiled_programs._surroundings.cache_clear()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    try:
        doubled()
    finally:
        compiled_programs._surroundings.cache_clear()
    assert len(files(directory)) == 5


def test_those_not_used_for_longest_make_way(directory, monkeypatch):
    monkeypatch.setattr(compiled_programs, "_MOST", 3)
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
from charrepl_daemon.model import compiled_programs
ones = numpy.ones(3, numpy.float32)
program = compiled_programs.program(lambda values: 2 * values, ones, name="double")
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
    place.mkdir(parents=True, exist_ok=True)
    key = "0123456789abcdef01234567"
    for name in (f"serve-{key}.program", f"serve-{key}.program-1-2", "notes.program.txt", "serve.program"):
        (place / name).touch()
    compiled_programs.forget()
    assert sorted(path.name for path in place.iterdir()) == ["notes.program.txt", "serve.program"]


ON_THIS_MACHINE = """
import numpy
from charrepl_daemon.model import compiled_programs
ones = numpy.ones(3, numpy.float32)
print(compiled_programs.program(lambda values: 2 * values, ones, name="double")(ones).tolist())
"""


def break_the_code(program: Path) -> None:
    """Puts instructions that no processor has in the place of a program's own."""
    data = bytearray(zlib.decompress(program.read_bytes()))
    start = data.find(b"\x7fELF")
    if start < 0 or platform.machine() != "x86_64":
        pytest.skip("written for ELF and x86-64")
    (table,) = struct.unpack_from("<Q", data, start + 0x28)
    size, count = struct.unpack_from("<HH", data, start + 0x3A)
    for section in range(count):
        at = start + table + section * size
        flags, _, offset, length = struct.unpack_from("<QQQQ", data, at + 8)
        if flags & 4:  # it is executed
            data[start + offset : start + offset + length] = (b"\x0f\x0b" * length)[:length]
    program.write_bytes(zlib.compress(bytes(data)))


def test_one_that_faults_ends_one_process_and_is_compiled_anew_by_the_next(directory):
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", ON_THIS_MACHINE], capture_output=True, text=True)

    assert run().stdout == "[2.0, 2.0, 2.0]\n"
    (program,) = files(directory)
    break_the_code(program)
    assert run().returncode == -signal.SIGILL
    again = run()
    assert again.stdout == "[2.0, 2.0, 2.0]\n"
    assert f"{program.name} is compiled again: a process died while it ran it" in again.stderr
    assert list(directory.iterdir()) == [program]


def test_one_that_another_process_is_trying_is_not_taken_for_one_that_faults(directory, compiles):
    doubled()
    (program,) = files(directory)
    before = compiles.count
    with compiled_programs._marked(program):
        assert doubled() == [2, 2, 2]
        assert compiles.count == before
    assert list(directory.iterdir()) == [program]


def test_one_that_raises_when_it_is_called_leaves_no_mark(directory):
    program = compiled_programs.program(lambda values: 2 * values, ONES, name="double")
    with pytest.raises(TypeError):
        program(ONES, ONES)
    assert not list(directory.glob("*.tried"))


def test_none_is_kept_in_a_directory_that_others_can_enter(directory, caplog):
    directory.chmod(0o755)
    with caplog.at_level(logging.WARNING):
        assert doubled() == [2, 2, 2]
    assert f"double is not kept: {directory} is open to other users" in caplog.text
    assert files(directory) == []


CPUS = {  # and what differs where a program may fault
    "arm": (
        "processor\t: 0\nBogoMIPS\t: 48\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd4\n",
        " asimd",
    ),
    "x86": ("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu MHz\t: 48\nflags\t\t: fpu avx2\n", " avx2"),
    "risc-v": ("processor\t: 0\nhart\t: 48\nisa\t\t: rv64imafdcv\nuarch\t\t: sifive,u74\n", "v\n"),
}


@pytest.mark.parametrize("name", CPUS)
def test_the_processor_is_part_of_what_tells_one_from_another(directory, monkeypatch, tmp_path, name):
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(jax_setup, "_CPU", cpuinfo)
    text, feature = CPUS[name]
    told = []
    for other in (text, text.replace(": 0\n", ": 1\n").replace("48", "49"), text.replace(feature, "\n")):
        cpuinfo.write_text(other)
        told.append(jax_setup.processor())
    assert told[0] == told[1] != told[2]  # which core it is, and how fast just now, says nothing
    compiled_programs._surroundings.cache_clear()
    try:
        cpuinfo.unlink()
        assert jax_setup.processor() == ""
        assert doubled() == [2, 2, 2]
        assert files(directory) == []  # where nothing says, none is kept
    finally:
        compiled_programs._surroundings.cache_clear()
