"""Counts of keys saved by day and host, from several programs at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charrepl.suggestions.keys_saved import KEPT_DAYS, Counts, KeysSaved

PROGRAM = """
from charrepl.suggestions.keys_saved import KeysSaved
counts = KeysSaved()
for _ in range(50):
    counts.note("vim", shown=1)
    counts.write()
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    return tmp_path


def test_programs_that_count_at_once_lose_nothing() -> None:
    programs = [subprocess.Popen([sys.executable, "-c", PROGRAM]) for _ in range(3)]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    (hosts,) = KeysSaved().read().values()
    assert hosts == {"vim": Counts(shown=150)}


def test_what_was_taken_is_counted_by_host() -> None:
    counts = KeysSaved()
    counts.note("vim", shown=1)
    counts.note("zed", shown=1, taken=1, characters=12, keys=2)
    counts.write()
    counts.note("zed", characters=3, keys=1)
    counts.write()
    counts.write()  # nothing is counted twice
    (hosts,) = KeysSaved().read().values()
    assert hosts["vim"].saved == 0
    assert hosts["zed"] == Counts(shown=1, taken=1, characters=15, keys=3)
    assert hosts["zed"].saved == 12


def test_a_year_is_kept(data: Path) -> None:
    days = ",".join(f'"{2000 + n // 360}-{n % 12:02}-{n % 30:02}":{{}}' for n in range(KEPT_DAYS * 2))
    (data / "keys-saved.json").write_text(f"{{{days}}}")
    counts = KeysSaved()
    counts.note("vim", shown=1)
    counts.write()
    assert len(counts.read()) <= KEPT_DAYS


def test_what_cannot_be_written_stays_to_be_counted(data: Path) -> None:
    counts = KeysSaved()
    counts.note("vim", shown=1)
    (data / "keys-saved.json").mkdir()
    with pytest.raises(OSError):
        counts.write()
    (data / "keys-saved.json").rmdir()
    counts.write()
    (hosts,) = counts.read().values()
    assert hosts == {"vim": Counts(shown=1)}
