"""JAX's devices, and the settings that all our processes share."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from charrepl import resource_shortage
from charrepl.errors import CharreplError, reason
from charrepl.system import paths
from charrepl_train.devices import xla_flags

_THREADS = "NPROC"  # by which XLA sizes its pools of threads
_MOST_CACHE_BYTES = 512 << 20
_CPU = Path("/proc/cpuinfo")
# JAX's environment variables that a user may set: for devices, for how processes meet, and for logging. The
# others change the numbers or how they are computed. We decide those.
_THEIRS = re.compile(
    r"JAX_(COMPILER_DETAILED_LOGGING\w+|COORDINATOR\w+|CPU_COLLECTIVES\w+|CUDA_VISIBLE_DEVICES|DEBUG_LOG_MODULES"
    r"|DUMP_IR\w+|EXPLAIN_CACHE_MISSES|LOCAL_DEVICE_IDS|LOG_\w+|LOGGING_LEVEL|NUM_CPU_DEVICES|NUM_PROCESSES"
    r"|PARTITION_INDEX|PLATFORM_NAME|PLATFORMS|PROCESS_ID|ROCM_VISIBLE_DEVICES|SLICE_INDEX|TRACEBACK_FILTERING)"
)
# The fields that identify a processor, on x86, ARM, RISC-V, POWER and s390.
_IDENTIFIES = re.compile(
    r"(vendor_id|cpu family|model|model name|stepping|flags"
    r"|Features|features|CPU (implementer|architecture|variant|part|revision)"
    r"|isa|uarch|mvendorid|marchid|mimpid|cpu|machine)\s*:"
)
HUGE_PAGES = "glibc.malloc.hugetlb=1"  # makes malloc ask for huge pages, as `madvise` kernels require


def use_huge_pages() -> None:
    """Starts this process again with its large arrays in huge pages, if the kernel must be asked for them.

    A step touches half a gigabyte, and a page has 4 KiB unless the allocator asks for more. glibc reads this
    setting only when a process starts. Returns if that gains nothing, or is not possible.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc.hugetlb" in tunables or not _huge_pages_on_request():
        return
    os.environ["GLIBC_TUNABLES"] = f"{tunables}:{HUGE_PAGES}" if tunables else HUGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _huge_pages_on_request() -> bool:
    try:
        return "[madvise]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return False


def prepare(
    *, cache: bool = True, dry_run: bool = False, threads: int | None = None, device: str = "auto"
) -> None:
    """Sets what must be set before jax is imported. Call it first.

    cache: whether JAX keeps the programs that it compiles. dry_run: whether nothing may be written.
    threads: how many the processor computes with, if not one for each core. device: `cpu` leaves a GPU alone;
    whether there is one for `gpu` is for `check_device` to say.
    Raises CharreplError if the environment has a mistake that would make JAX or XLA fail, or if the directory
    of compiled programs is open to others, because programs are run without checks.
    """
    # The GPU's memory is shared with whatever else the user runs: take it as needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if threads is not None:
        os.environ[_THREADS] = str(threads)
    leave_out_numbers()
    xla_flags.settle()
    try:
        import jax
    except (ImportError, ValueError) as error:
        if short := resource_shortage.cause(error) or resource_shortage.likely():
            raise CharreplError(f"JAX cannot be imported: {short}", code="shortage") from error
        raise CharreplError(f"JAX cannot be imported ({reason(error)}){_blame()}") from error

    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if dry_run:
        return
    directory = paths.compilation_cache_dir()
    with contextlib.suppress(OSError):  # on a full or read-only disk, programs are not kept
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.check_private(directory)
    if not cache or not os.access(directory, os.W_OK):  # JAX would warn at each program
        return
    _bound(directory)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    # By default, programs that compile in under a second are not kept. Most of ours do.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _bound(directory: Path) -> None:
    """Removes the programs that JAX kept and nobody used for longest, if there are too many."""
    # JAX bounds them too, but then locks the directory for each, which some file systems cannot.
    found = []
    for file in directory.glob("*-cache"):
        with contextlib.suppress(OSError):  # another process removed it
            used = file.stat()
            found.append((max(used.st_atime, used.st_mtime), used.st_size, file))
    size = 0
    for _, length, file in sorted(found, reverse=True):
        size += length
        if size > _MOST_CACHE_BYTES:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
                file.with_name(f"{file.name.removesuffix('-cache')}-atime").unlink(missing_ok=True)


def leave_out_numbers() -> None:
    """Removes variables from the environment that would make JAX or Flax compute other numbers than ours."""
    for name in list(os.environ):
        if name.startswith(("JAX_", "FLAX_", "NNX_")) and not _THEIRS.fullmatch(name):
            del os.environ[name]


def _blame() -> str:
    """Which variables may have caused a failure of JAX, and what to do."""
    found = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("JAX_")]
    return f": correct or unset {' and '.join(found)}" if found else ""


def describe() -> str:
    """What JAX runs on, for a person: `CPU, 2 cores`, `NVIDIA H100 80GB HBM3`.

    Raises CharreplError if JAX finds no usable device.
    """
    devices = _devices()
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = os.environ.get(_THREADS, "")
        if threads.isdecimal() and int(threads) < (cores or 1):
            return f"CPU, {threads} of {cores} cores"
        kind = f"CPU, {cores} core{'s' if cores != 1 else ''}"
    return str(kind) if len(devices) == 1 else f"{len(devices)} x {kind}"


def has_gpu() -> bool:
    """Whether JAX computes on something faster than the processor. Raises as `describe`."""
    return bool(_devices()[0].platform != "cpu")


def check_device(device: str) -> None:
    """Raises CharreplError if the user asks for a GPU and JAX finds none, or as `describe`."""
    if device == "gpu" and not has_gpu():
        raise CharreplError(
            "JAX finds no GPU: install charrepl with the extra cuda and look whether nvidia-smi lists one, "
            "or leave out --device gpu"
        )


def peak_bytes() -> int:
    """The most memory that was in use at a time: of the GPU, or by this process. Raises as `describe`."""
    stats = _devices()[0].memory_stats() if has_gpu() else None
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def gpu_bytes() -> int | None:
    """How much memory of the GPU JAX may use; None if that is not known. Raises as `describe`."""
    stats = _devices()[0].memory_stats() if has_gpu() else None
    return None if not stats else stats.get("bytes_limit")


def multiplies_bf16() -> bool:
    """Whether products of bf16 are faster than those of f32. Raises as `describe`."""
    return has_gpu() or bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def cpu_flags() -> set[str]:
    """The processor's extensions, in Linux's words; empty if that is not known."""
    try:
        cpu = _CPU.read_text(encoding="ascii", errors="replace")
    except OSError:
        return set()
    found = re.search(r"^flags\s*:(.*)$", cpu, re.MULTILINE)
    return set(found[1].split()) if found else set()


def processor() -> str:
    """The models of this machine's processors, and their extensions; empty if that is not known.

    Programs compiled for one processor may crash on another.
    """
    if sys.platform == "darwin":
        asked = ["sysctl", "-a", "hw.cputype", "hw.cpusubtype", "hw.optional", "machdep.cpu"]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return "\n".join(sorted(done.stdout.splitlines()))
    try:
        cpu = _CPU.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # For each kind of core, because an ARM processor may have several.
    told = {" ".join(line.split()) for line in cpu.splitlines() if _IDENTIFIES.match(line)}
    return "\n".join(sorted(told))


def _devices() -> list[Any]:
    import jax

    try:
        return list(jax.devices())
    except Exception as error:  # a plugin for a missing device may raise anything
        why = reason(error).partition(" (set JAX_PLATFORMS")[0]  # JAX's own advice is not enough
        raise CharreplError(
            f"JAX found no device ({why}){_blame()}, or set JAX_PLATFORMS=cpu to use the processor"
        ) from error
