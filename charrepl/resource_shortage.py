"""Recognises a shortage of memory, threads or files, which errors describe in many ways, even as damage."""

from __future__ import annotations

import contextlib
import errno
import re
import resource
from pathlib import Path
from typing import Literal

Kind = Literal["memory", "threads", "files"]

_ERRNOS: dict[int, Kind] = {errno.ENOMEM: "memory", errno.EMFILE: "files", errno.ENFILE: "files"}
# The messages of Python, the dynamic loader, glibc, C++, XLA and tensorstore.
_WORDS: tuple[tuple[Kind, str], ...] = (
    ("files", r"Too many open files"),
    (
        "threads",
        r"can't start new thread|Resource temporarily unavailable|pthread_create|thread constructor failed",
    ),
    (
        "memory",
        r"MemoryError|Unable to allocate|Cannot allocate memory|failed to map segment|bad_alloc"
        r"|[Oo]ut of memory|cannot create thread specific data",
    ),
)

_NPROC = resource.RLIMIT_NPROC
_NO_LIMIT = 1 << 50  # version 1 of control groups writes a large number for no limit


def cause(error: BaseException) -> str | None:
    """If a shortage caused an error: what ran short, and its limit here, for a person. Else empty."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            break
        kind = _ERRNOS.get(getattr(seen, "errno", None) or 0)
        if isinstance(seen, MemoryError):
            kind = "memory"
        if kind or (kind := _kind(str(seen))):
            return said(kind)
        seen = seen.__cause__ or seen.__context__
    return None


def likely() -> str | None:
    """A hint at memory if the address space is limited: without memory, programs fail in many ways."""
    return said("memory") if _limit("ulimit -v", resource.RLIMIT_AS) else None


def in_text(text: str) -> str | None:
    """As `cause`, but from what a program printed before it ended."""
    kind = _kind(text)
    return said(kind) if kind else None


def _kind(text: str) -> Kind | None:
    found = [(match.start(), kind) for kind, words in _WORDS if (match := re.search(words, text))]
    return min(found)[1] if found else None


def said(kind: Kind) -> str:
    """What ran short, its limit here, and what to do."""
    address_space = _limit("ulimit -v", resource.RLIMIT_AS, unit=1024)
    if kind == "memory":
        bounds = [*address_space, *_limit("ulimit -d", resource.RLIMIT_DATA, unit=1024), *_group_memory()]
        return f"memory ran short{_listed([*bounds, *_free()])}: close other programs, or raise the limit"
    if kind == "threads":
        bounds = [*_limit("ulimit -u", _NPROC), *address_space, *_group_threads()]
        return f"no more threads can be started{_listed(bounds)}: raise the limit, or close other programs"
    bounds = _limit("ulimit -n", resource.RLIMIT_NOFILE)
    return f"too many files are open{_listed(bounds)}: raise the limit"


def _listed(bounds: list[str]) -> str:
    return f" ({', '.join(bounds)})" if bounds else ""


def _limit(name: str, number: int, *, unit: int = 1) -> list[str]:
    soft = resource.getrlimit(number)[0]
    return [] if soft == resource.RLIM_INFINITY else [f"{name} is {soft // unit}"]


def _group_memory() -> list[str]:
    limit = _of_group("memory", "memory.max", "memory.limit_in_bytes")
    return [f"its control group has {limit >> 20:,} MB"] if limit else []


def _group_threads() -> list[str]:
    limit = _of_group("pids", "pids.max")
    return [f"its control group has {limit:,} of them"] if limit else []


def _of_group(controller: str, *files: str) -> int | None:
    """A limit of this process's control group, version 1 or 2 (man 7 cgroups)."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for controllers, place in (line.split(":", 2)[1:] for line in lines):
        if controllers in ("", controller):
            for file in files:
                with contextlib.suppress(OSError, ValueError):  # ValueError: `max`
                    limit = int(Path(f"/sys/fs/cgroup/{controllers}{place}/{file}").read_text())
                    if limit < _NO_LIMIT:
                        return limit
    return None


def _free() -> list[str]:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return []
    return [f"the machine has {int(found[1]) >> 10:,} MB left"] if found else []
