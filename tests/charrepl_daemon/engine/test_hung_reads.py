"""A disk that does not answer: it holds up nobody for long, and no process's end."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl_daemon.engine import hung_reads, model_catalogue
from charrepl_daemon.engine.hung_reads import HungReads
from charrepl_daemon.engine.model_catalogue import ModelCatalogue


class _Library:
    def is_loaded(self, directory: Path) -> bool:
        return False


def test_models_whose_disk_does_not_answer_are_missing_in_the_list_and_hold_up_no_other(
    tmp_path: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(model_catalogue, "_MOST_LISTED_S", 0.2)
    for name in ("cup", "pan", "pot"):
        shutil.copytree(model_dir, tmp_path / "models" / name)
    answers = tmp_path / "answers"
    os.mkfifo(answers)
    usable, info = model_names.is_usable, model_names.info

    def from_afar(directory: Path, read: Any, hung: str, **options: Any) -> Any:
        if directory.name == hung:
            answers.read_bytes()
        return read(directory, **options)

    monkeypatch.setattr(model_names, "is_usable", lambda path: from_afar(path, usable, "cup"))
    monkeypatch.setattr(model_names, "info", lambda path, **loaded: from_afar(path, info, "pan", **loaded))

    async def listed() -> None:
        catalogue = ModelCatalogue("shakespeare", _Library())  # type: ignore[arg-type]
        for _ in range(2):  # the second time it does not wait
            models = await catalogue.listed()
            assert [model.name for model in models] == ["pot", "shakespeare"]
        assert await catalogue.find("pot") == tmp_path / "models" / "pot"

    try:
        asyncio.run(listed())
    finally:
        held = os.open(answers, os.O_WRONLY)  # those who read it go on
        os.close(held)


def test_an_event_loop_is_told_of_a_read_that_hangs_and_what_a_read_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hung_reads, "_MOST_S", 0.2)
    answers = tmp_path / "answers"
    os.mkfifo(answers)
    reads = HungReads()
    with pytest.raises(CharreplError, match=r"answers cannot be read: reading .*answers has taken 0 s"):
        asyncio.run(reads.awaited(answers, Path.read_bytes))
    with pytest.raises(FileNotFoundError):
        asyncio.run(reads.awaited(tmp_path / "none", Path.read_bytes))
    assert asyncio.run(reads.awaited(tmp_path, os.listdir)) == ["answers"]
    os.close(os.open(answers, os.O_WRONLY))


def test_a_process_ends_though_a_read_of_it_never_does(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "answers")
    script = """
import asyncio, pathlib, sys
from charrepl_daemon.engine import hung_reads
hung_reads._MOST_S = 0.1
asyncio.run(hung_reads.HungReads().awaited(pathlib.Path(sys.argv[1]), pathlib.Path.read_bytes))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "answers")], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "cannot be read" in ended.stderr
