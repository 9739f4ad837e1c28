"""Debian's Vim, with a client that asks `charrepl serve` by curl as plugins do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl_daemon.lifecycle import control
from tests.charrepl.http_site import HttpSite
from tests.charrepl.screen import Screen
from tests.charrepl_daemon.conftest import Command
from tests.waiting import until

CLIENT = Path(__file__).with_name("client.vim")
ESC, TAB, BACKSPACE = "\x1b", "\t", "\x7f"
NEEDED = {"+job", "+textprop"}


@pytest.fixture(scope="module")
def programs() -> None:
    """Skips where one is missing."""
    for program in ("vim", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program}")
    has = subprocess.run(["vim", "--version"], capture_output=True, text=True, check=True).stdout.split()
    if not set(has) >= NEEDED:
        pytest.skip("this vim is a small one: apt-get install vim")


@pytest.fixture(scope="module")
def site(programs: None, shared_daemon: Command) -> Iterator[HttpSite]:
    with HttpSite("--model", "kettle", "--assertiveness", "bold") as site:
        yield site


@pytest.fixture
def vim(site: HttpSite, tmp_path: Path) -> Iterator[Screen]:
    text = tmp_path / "a.txt"
    text.write_text("MASTER:\n")
    given = {"GHOSTS": f"http://127.0.0.1:{site.port}/infill", "KEY": site.key, "TERM": "xterm-256color"}
    with Screen(["vim", "-u", str(CLIENT), str(text)], env={**os.environ, **given}, rows=12) as screen:
        yield screen.wait_for(lambda s: "MASTER:" in s.text)


def test_a_ghost_is_drawn_typed_through_and_taken(vim: Screen, tmp_path: Path) -> None:
    vim.type("oThe kettle si")
    vim.wait_for_line("The kettle sings, ", before="The kettle si")
    vim.type("ngz")
    vim.wait_for(lambda s: "The kettle singz" in s.text and "sings" not in s.text)
    vim.type(BACKSPACE)
    vim.wait_for_line("The kettle sings, ", before="The kettle sing")
    vim.type(TAB)
    vim.wait_for(lambda s: s.up_to_cursor.startswith("The kettle sings, "))
    vim.type(ESC + ":wq\r")
    assert vim.wait_for_exit() == 0
    assert (tmp_path / "a.txt").read_text().startswith("MASTER:\nThe kettle sings, ")


def test_a_line_is_typed_while_the_daemon_is_killed_and_the_next_one_goes_on(
    vim: Screen, site: HttpSite
) -> None:
    running = control.running()
    assert running is not None and running.pid
    vim.type("oThe kettle si")
    vim.wait_for_line("The kettle sings, ", before="The kettle si")
    os.kill(running.pid, signal.SIGKILL)
    vim.type("ngs, the")
    vim.wait_for(lambda s: "The kettle sings, the" in s.text)
    until(lambda: site.post("/completion", {"prompt": "MASTER:\nThe kettle si"}).json["content"])
    vim.type(" ki")
    vim.wait_for_line("The kettle sings, the kitchen ", before="The kettle sings, the ki")
    vim.type(ESC + ":q!\r")
    assert vim.wait_for_exit() == 0
