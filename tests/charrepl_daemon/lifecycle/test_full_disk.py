"""A disk that is full, or only to be read: the daemon serves, and says what it could not write."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.client import Client
from charrepl.system import paths
from charrepl_daemon.lifecycle import control

TEXT, NEXT = "every cup is wa", "rm"
LIMIT = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")


def status_of(daemon) -> dict:
    return json.loads(daemon("status", "--json").stdout)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A disk of its own at a place, 64 KiB of memory; skips the test where it cannot be had."""
    place.mkdir(mode=0o700, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disks(shared_home, start_daemon) -> Iterator[list[Path]]:
    """The log and the compiled programs, each on a disk of its own, under no daemon."""
    control.stop()
    places = [paths.log_file().parent, paths.compilation_cache_dir()]
    with contextlib.ExitStack() as stack:
        for place in places:
            stack.enter_context(small_disk(place))
        yield places
        control.stop()


def fill(place: Path) -> None:
    with contextlib.suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1024)


def protect(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


@pytest.mark.parametrize(
    ("spoil", "why"), [(fill, "No space left on device"), (protect, "Read-only file system")]
)
def test_log_and_programs_that_cannot_be_written_are_no_obstacle_and_told(disks, start_daemon, spoil, why):
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    for place in disks:
        spoil(place)
    daemon = start_daemon()
    with Client(autostart=False) as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        told = {failure["path"]: failure["reason"] for failure in client.status()["not_written"]}
    assert set(told) == {str(paths.log_file()), str(paths.compilation_cache_dir())}
    assert all(why in reason for reason in told.values())
    lines = daemon("status").stdout
    assert f"not written: {paths.log_file()}" in lines
    assert f"not written: {paths.compilation_cache_dir()}" in lines


def test_where_no_file_can_be_written_at_all_ghosts_are_served(altered_daemon):
    altered_daemon("", prefix=LIMIT)
    with Client(autostart=False) as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        # Programs of before may be there, and then there are none to write.
        told = {failure["path"]: failure["reason"] for failure in client.status()["not_written"]}
    assert told[str(paths.log_file())] == told[str(paths.status_file())] == "File too large"
    stopped = control.stop()
    assert stopped is not None
    assert control.running() is None


def test_programs_that_are_cut_short_are_thrown_away_and_written_anew(shared_home, start_daemon):
    start_daemon()  # which leaves some
    control.stop()
    programs = sorted(paths.compilation_cache_dir().glob("*.program"))
    assert programs
    for file in programs:
        os.truncate(file, file.stat().st_size // 2)
    daemon = start_daemon()
    with Client(autostart=False) as client:
        assert client.complete(TEXT).text.startswith(NEXT)
        (told,) = client.status()["not_written"]
    assert told["path"] == str(paths.compilation_cache_dir())
    assert daemon("restart", "--force").returncode == 0
    assert status_of(daemon)["not_written"] == []


def test_a_log_in_a_place_that_is_none_is_no_obstacle_and_told(shared_home, start_daemon):
    control.stop()
    logs = paths.log_file().parent
    logs.rename(logs.with_name("logs-before"))
    logs.write_text("not a directory")
    try:
        start_daemon()
        with Client(autostart=False) as client:
            assert client.complete(TEXT).text.startswith(NEXT)
            (told,) = client.status()["not_written"]
        assert told["path"] == str(paths.log_file())
    finally:
        logs.unlink()
