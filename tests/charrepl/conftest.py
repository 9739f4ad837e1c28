"""A prompt to type at, with a daemon that does as it is told."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charrepl.prompt import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    place = Path(tempfile.mkdtemp(prefix="cr-"))  # short: a socket's path may have 107 bytes
    try:
        yield Bench(place)
    finally:
        shutil.rmtree(place)


@pytest.fixture
def live(bench: Bench) -> Iterator[Bench]:
    with bench.daemon:
        yield bench
