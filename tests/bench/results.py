"""What a benchmark measured, kept with the machine, the date and the commit: `docs/results/NAME.json`.

Each row is a flat table row; a column's name ends with its unit, as `p99_ms`. A benchmark writes only where
it is given `--results DIR`. `tests/bench/page.py` makes tables and plots of what is there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "docs" / "results"
PERCENTILES = (10, 25, 50, 75, 90, 95, 99)

Row = Mapping[str, Any]


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--results DIR`."""
    parser.add_argument("--results", type=Path, metavar="DIR", help="also write what was measured there")


def option(description: str | None) -> Path | None:
    """The directory given on the command line of a benchmark that has no other options."""
    parser = argparse.ArgumentParser(description=description)
    add_option(parser)
    found: Path | None = parser.parse_args().results
    return found


def machine() -> dict[str, Any]:
    """The processor, what it has for small numbers, and the versions that count."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", "").split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = f" (family {said['cpu family']}, model {said['model']})" if "cpu family" in said else ""
    return {
        "processor": said.get("model name", platform.processor() or platform.machine()) + model,
        "cores": cores,
        "avx512_bf16": "avx512_bf16" in flags,
        "avx512_vnni": "avx512_vnni" in flags,
        "python": platform.python_version(),
        "jax": metadata.version("jax"),
    }


def commit() -> str | None:
    """The commit that was measured, with a + if files have changed since; None outside a repository."""
    try:
        command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Percentiles of milliseconds, as columns."""
    ordered = sorted(values)
    return {f"p{p}_ms": round(ordered[len(ordered) * p // 100], 2) for p in PERCENTILES}


def write(directory: Path | None, name: str, rows: Sequence[Row]) -> None:
    """Writes a record, if a directory is given; it replaces the last one of that name."""
    if directory is None:
        return
    record = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "rows": list(rows),
    }
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (directory / f"{name}.json").write_text(text, encoding="utf-8")
