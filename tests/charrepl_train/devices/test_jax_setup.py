"""What a process is given before it computes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl_train.devices import jax_setup
from charrepl_train.devices.jax_setup import HUGE_PAGES

REPORT = "from charrepl_train.devices import jax_setup; jax_setup.use_huge_pages(); import os, sys; print("
REPORT += "os.environ.get('GLIBC_TUNABLES'), sys.argv[1:], os.getpid())"
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def report(*arguments: str, tunables: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    if tunables is not None:
        environment["GLIBC_TUNABLES"] = tunables
    command = [sys.executable, "-c", REPORT, *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=60)
    said, _, pid = out.strip().rpartition(" ")
    assert process.returncode == 0
    assert int(pid) == process.pid
    return said


def test_fewer_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for threads, told in (("", "CPU, 8 cores"), ("3", "CPU, 3 of 8 cores"), ("16", "CPU, 8 cores")):
        monkeypatch.setenv("NPROC", threads)
        assert jax_setup.describe().endswith(told)


def test_programs_unused_for_longest_are_removed_where_they_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax_setup, "_MOST_CACHE_BYTES", 250)
    for age, name in enumerate(("new", "middle", "old")):
        for ending, size in (("cache", 100), ("atime", 8)):
            file = tmp_path / f"jit_{name}-{ending}"
            file.write_bytes(bytes(size))
            os.utime(file, (1e9 - age, 1e9 - age))
    (tmp_path / "daemon.program").write_bytes(bytes(1000))
    jax_setup._bound(tmp_path)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == [
        "daemon.program",
        *(f"jit_{n}-{e}" for n in ("middle", "new") for e in ("atime", "cache")),
    ]


def test_a_process_gets_huge_pages_where_they_take_asking_and_keeps_its_arguments() -> None:
    on_request = OFFERED.is_file() and "[madvise]" in OFFERED.read_text()
    said = report("a text.txt", "--name=x y")
    assert said == f"{HUGE_PAGES if on_request else None} ['a text.txt', '--name=x y']"


@pytest.mark.parametrize(
    ("flags", "multiplies"),
    [("fpu avx2 f16c", False), ("fpu avx512f avx512_bf16", True), ("amx_tile amx_bf16", True), ("", False)],
)
def test_bf16_is_chosen_where_the_processor_multiplies_it(
    flags: str, multiplies: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: x\n")
    monkeypatch.setattr(jax_setup, "_CPU", tmp_path / "cpuinfo")
    assert jax_setup.cpu_flags() == set(flags.split())
    assert jax_setup.multiplies_bf16() == multiplies
    monkeypatch.setattr(jax_setup, "_CPU", tmp_path / "nothing says")
    assert jax_setup.cpu_flags() == set()


@pytest.mark.parametrize("said", ["glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=2:glibc.malloc.check=0"])
def test_who_has_chosen_how_memory_is_mapped_keeps_the_choice(said: str) -> None:
    assert report(tunables=said) == f"{said} []"


@pytest.mark.skipif(not OFFERED.is_file(), reason="this system has no huge pages to ask for")
def test_other_choices_for_the_allocator_are_kept_beside_it() -> None:
    if "[madvise]" in OFFERED.read_text():
        assert report(tunables="glibc.malloc.check=0") == f"glibc.malloc.check=0:{HUGE_PAGES} []"
    else:
        assert report(tunables="glibc.malloc.check=0") == "glibc.malloc.check=0 []"


def test_a_gpu_that_is_not_there_is_asked_for_in_vain() -> None:
    if jax_setup.has_gpu():
        pytest.skip("there is a GPU")
    for device in ("auto", "cpu"):
        jax_setup.check_device(device)
    with pytest.raises(CharreplError, match=r"JAX finds no GPU: .* or leave out --device gpu$"):
        jax_setup.check_device("gpu")


def test_the_processor_may_be_asked_for_where_there_is_a_gpu() -> None:
    code = (
        "from charrepl_train.devices import jax_setup; jax_setup.prepare(cache=False, device='cpu'); "
        "import jax; print(jax.config.jax_platforms, jax_setup.has_gpu())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cpu", "False"]


def test_programs_are_not_kept_where_they_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jax

    before = jax.config.jax_compilation_cache_dir
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "file"))  # in which nothing can be made
    jax_setup.prepare()
    assert jax.config.jax_compilation_cache_dir == before
